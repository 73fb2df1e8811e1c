/** `acme/web: moved to other/web …`. A message that begins with the name that it is about says it once. */
export function problemLine({ about, message }: { readonly about: string | null; readonly message: string }): string {
  return about === null || message.startsWith(`${about} `) ? message : `${about}: ${message}`;
}
