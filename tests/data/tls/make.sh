#!/bin/sh
# Makes the certificates of the TLS tests: an authority, a server on localhost, a client. They are
# good for a hundred years and for nothing else; their keys are public by being here.
set -eu
cd "$(dirname "$0")"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 \
  -subj "/CN=Offramp test authority" -keyout ca.key -out ca.pem
for name in server client; do
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
    -subj "/CN=localhost" -keyout "$name.key" -out "$name.csr"
  printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\n' > "$name.ext"
  openssl x509 -req -in "$name.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 36500 \
    -extfile "$name.ext" -out "$name.pem"
done
rm -f ./*.csr ./*.ext ./*.srl ca.key
