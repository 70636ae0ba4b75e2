#!/bin/sh
# Makes the golden certificates anew, with OpenSSL 3.0. They are judged as of the day
# on which they were made, which the tests take from notBefore.
set -eu
dir=$(mktemp -d)
cat > "$dir/x.cnf" <<'CNF'
[req]
distinguished_name=dn
[dn]
[ca]
basicConstraints=critical,CA:TRUE,pathlen:0
keyUsage=critical,keyCertSign,cRLSign
subjectKeyIdentifier=hash
[tls]
subjectKeyIdentifier=none
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth
authorityKeyIdentifier=keyid
subjectAltName=DNS:www.example.com,DNS:example.com
certificatePolicies=2.23.140.1.2.1
authorityInfoAccess=caIssuers;URI:http://aia.example.com/ca.cer
crlDistributionPoints=URI:http://crl.example.com/1.crl
[smime]
keyUsage=critical,digitalSignature
extendedKeyUsage=emailProtection
authorityKeyIdentifier=keyid
subjectAltName=email:kari@example.com
certificatePolicies=2.23.140.1.5.1.3
authorityInfoAccess=caIssuers;URI:http://aia.example.com/ca.cer
crlDistributionPoints=URI:http://crl.example.com/1.crl
[private]
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=clientAuth
authorityKeyIdentifier=keyid
subjectKeyIdentifier=hash
subjectAltName=DNS:server.internal
crlDistributionPoints=URI:http://crl.example.com/2.crl
CNF
openssl req -new -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$dir/ca.key" -out ca.pem \
	-subj "/C=DK/O=Golden/CN=Golden CA" -days 3650 -config "$dir/x.cnf" -extensions ca
leaf() {
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$dir/leaf.key" -subj "$2" -out "$dir/leaf.csr"
	openssl x509 -req -in "$dir/leaf.csr" -CA ca.pem -CAkey "$dir/ca.key" -days "$3" -set_serial "0x4$(openssl rand -hex 15)" \
		-sha256 -extfile "$dir/x.cnf" -extensions "$1" -out "$1.pem"
}
leaf tls "/CN=www.example.com" 90
leaf smime "/CN=kari@example.com" 365
leaf private "/C=DK/O=Golden/CN=server.internal" 700
touch "$dir/index"
echo 01 > "$dir/number"
printf '[ca]\ndefault_ca=d\n[d]\ndatabase=%s/index\ncrlnumber=%s/number\ndefault_md=sha256\n[e]\nauthorityKeyIdentifier=keyid\n' "$dir" "$dir" > "$dir/ca.cnf"
openssl ca -config "$dir/ca.cnf" -gencrl -keyfile "$dir/ca.key" -cert ca.pem -crldays 7 -crlexts e -out crl.pem
openssl ocsp -issuer ca.pem -cert tls.pem -reqout "$dir/req" -no_nonce
printf 'V\t331231000000Z\t\t%s\tunknown\t/CN=www.example.com\n' "$(openssl x509 -in tls.pem -noout -serial | cut -d= -f2)" > "$dir/index2"
openssl ocsp -index "$dir/index2" -CA ca.pem -rsigner ca.pem -rkey "$dir/ca.key" -reqin "$dir/req" -respout ocsp.der -ndays 4
rm -r "$dir"
