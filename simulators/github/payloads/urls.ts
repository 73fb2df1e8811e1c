/** The two roots of every link: the API and the pages for people. */
export interface Urls {
  readonly api: string;
  readonly html: string;
}
