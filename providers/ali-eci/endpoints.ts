/**
 * Where each region of the service listens. From the vendor's API descriptions (eci 2018-08-08 and vpc 2016-04-28,
 * `endpoints`); a test compares. Mainland China, Hong Kong, the finance regions and the international ones alike: one
 * account site signs for its own regions only, so a key of the China site is refused (InvalidAccessKeyId) elsewhere.
 */
const odd: Readonly<Record<string, string>> = {
  'cn-shanghai-finance-1': 'eci.cn-shanghai-finance.aliyuncs.com',
  'cn-shenzhen-finance-1': 'eci.cn-shenzhen-finance.aliyuncs.com',
};

export const regions: readonly string[] = [
  'ap-northeast-1',
  'ap-northeast-2',
  'ap-south-1',
  'ap-southeast-1',
  'ap-southeast-2',
  'ap-southeast-3',
  'ap-southeast-5',
  'ap-southeast-6',
  'ap-southeast-7',
  'cn-beijing',
  'cn-beijing-finance-1',
  'cn-chengdu',
  'cn-fuzhou',
  'cn-guangzhou',
  'cn-hangzhou',
  'cn-hangzhou-finance',
  'cn-heyuan',
  'cn-hongkong',
  'cn-huhehaote',
  'cn-nanjing',
  'cn-qingdao',
  'cn-shanghai',
  'cn-shanghai-finance-1',
  'cn-shenzhen',
  'cn-shenzhen-finance-1',
  'cn-wuhan-lr',
  'cn-wulanchabu',
  'cn-zhangjiakou',
  'cn-zhengzhou-jva',
  'eu-central-1',
  'eu-west-1',
  'me-central-1',
  'me-east-1',
  'us-east-1',
  'us-west-1',
];

/** Endpoint of the container service; undefined for a region that is not in the vendor's table. */
export function eciEndpoint(region: string): string | undefined {
  return regions.includes(region) ? (odd[region] ?? `eci.${region}.aliyuncs.com`) : undefined;
}

/**
 * Endpoint of the network service, used only by `check` to ask for free addresses. The table has none for
 * cn-hangzhou-finance.
 */
export function vpcEndpoint(region: string): string | undefined {
  return regions.includes(region) && region !== 'cn-hangzhou-finance' ? `vpc.${region}.aliyuncs.com` : undefined;
}
