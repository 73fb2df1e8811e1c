/** `acme/web: moved to other/web …`. If the message already starts with its subject, the subject is not repeated. */
export function problemLine({ about, message }: { readonly about: string | null; readonly message: string }): string {
  return about === null || message.startsWith(`${about} `) ? message : `${about}: ${message}`;
}
