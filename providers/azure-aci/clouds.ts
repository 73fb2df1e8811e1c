/** Where the three clouds of Azure listen. A subscription lives in one of them, and in no other. */
export const cloudNames = ['public', 'us-government', 'china'] as const;
export type CloudName = (typeof cloudNames)[number];

export interface Cloud {
  /** Azure Resource Manager. */
  readonly endpoint: string;
  /** Entra ID, which makes the tokens. */
  readonly authorityHost: string;
}

/** From the vendor's page on national clouds, and `AzureAuthorityHosts` of @azure/identity. */
export const clouds: Readonly<Record<CloudName, Cloud>> = {
  public: { endpoint: 'https://management.azure.com', authorityHost: 'https://login.microsoftonline.com' },
  'us-government': {
    endpoint: 'https://management.usgovcloudapi.net',
    authorityHost: 'https://login.microsoftonline.us',
  },
  china: { endpoint: 'https://management.chinacloudapi.cn', authorityHost: 'https://login.chinacloudapi.cn' },
};

/** Tokens are for the cloud's own Resource Manager, also where its address is another one (a proxy, a simulator). */
export function tokenScope(cloud: CloudName): string {
  return `${clouds[cloud].endpoint}/.default`;
}
