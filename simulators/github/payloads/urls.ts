/** The two roots of all links: the API and the web pages. */
export interface Urls {
  readonly api: string;
  readonly html: string;
}
