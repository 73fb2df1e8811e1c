/** Endpoints of the three Azure clouds. A subscription lives in exactly one of them. */
export const cloudNames = ['public', 'us-government', 'china'] as const;
export type CloudName = (typeof cloudNames)[number];

export interface Cloud {
  /** Azure Resource Manager. */
  readonly endpoint: string;
  /** Entra ID, which issues the tokens. */
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

/** Tokens are for the cloud's own Resource Manager, even if its address is overridden (by a proxy or a simulator). */
export function tokenScope(cloud: CloudName): string {
  return `${clouds[cloud].endpoint}/.default`;
}
