# shellcheck shell=sh
# Further certificate authorities: SHR_CA_CERTIFICATES is a PEM text, a file, or a folder with *.crt and *.pem. They are
# trusted besides those of the image, by what reads one of the variables below.

if [ -n "${SHR_CA_CERTIFICATES:-}" ]; then
  bundle=$SHR_STATE/ca.pem
  for known in "${SSL_CERT_FILE:-}" /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt; do
    [ -s "$known" ] || continue
    cat "$known" >"$bundle"
    break
  done
  case $SHR_CA_CERTIFICATES in
    *-----BEGIN*) printf '%s\n' "$SHR_CA_CERTIFICATES" >"$SHR_STATE/ca-more.pem" ;;
    *)
      if [ -d "$SHR_CA_CERTIFICATES" ]; then
        for file in "$SHR_CA_CERTIFICATES"/*.crt "$SHR_CA_CERTIFICATES"/*.pem; do
          [ ! -s "$file" ] || { cat "$file" && echo; }
        done >"$SHR_STATE/ca-more.pem"
      else
        cat "$SHR_CA_CERTIFICATES" >"$SHR_STATE/ca-more.pem" 2>/dev/null
      fi
      ;;
  esac
  if grep -qs 'BEGIN CERTIFICATE' "$SHR_STATE/ca-more.pem"; then
    cat "$SHR_STATE/ca-more.pem" >>"$bundle"
    chmod 644 "$bundle"
    export SSL_CERT_FILE="$bundle" CURL_CA_BUNDLE="$bundle" GIT_SSL_CAINFO="$bundle" REQUESTS_CA_BUNDLE="$bundle"
    export NODE_EXTRA_CA_CERTS="$SHR_STATE/ca-more.pem"
  else
    say 'SHR_CA_CERTIFICATES holds no certificate: give it a PEM text, a file or a folder'
    finish 78
  fi
fi
