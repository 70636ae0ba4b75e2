#!/usr/bin/env python3
"""Makes the corpus of keys and requests that must be refused, and some that must not.

Keys are made by OpenSSL 3 where it makes such keys, and from numbers by
"openssl asn1parse -genconf" where it does not; Python only does the arithmetic.
Private keys are not kept.

debian-weak.csr is made with the key that Debian's OpenSSL 0.9.8g-8 makes on amd64 with the
process number 1000 and no ~/.rnd, which is published in the CA/Browser Forum's collection:

    openssl req -new -sha256 -key 1000.key -subj /CN=www.example.com -out debian-weak.csr
"""
import hashlib, os, random, shutil, subprocess, tempfile

tmp = tempfile.mkdtemp()
random.seed(20261121)

def run(*args, data=None):
    return subprocess.run(["openssl", *args], input=data, check=True, capture_output=True).stdout

def path(name):
    return os.path.join(tmp, name)

def genconf(text):
    with open(path("conf"), "w") as f:
        f.write(text)
    run("asn1parse", "-genconf", path("conf"), "-noout", "-out", path("der"))
    with open(path("der"), "rb") as f:
        return f.read()

def request(name, key):
    run("req", "-new", "-sha256", "-key", key, "-subj", "/CN=www.example.com", "-out", name + ".csr")

def made(name, *args):
    run("genpkey", *args, "-out", path("key"))
    request(name, path("key"))

# Keys that OpenSSL makes.
made("good-rsa3072", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072")
made("good-p256", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
made("rsa1024", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024")
made("rsa2052", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2052")
made("exponent3", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-pkeyopt", "rsa_keygen_pubexp:3")
made("p224", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-224")
made("secp256k1", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1")
made("brainpool", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:brainpoolP256r1")
made("ed25519", "-algorithm", "ED25519")
made("ed448", "-algorithm", "ED448")
run("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-pkeyopt", "ec_param_enc:explicit", "-out", path("key"))
request("explicit-curve", path("key"))

def prime(n):
    return n > 1 and all(n % p for p in (3, 5, 7, 11, 13, 17, 19, 23)) and pow(2, n - 1, n) == 1 and pow(3, n - 1, n) == 1

def next_prime(n):
    n |= 1
    while not prime(n):
        n += 2
    return n

def rsa(name, p, q, e=65537):
    d = pow(e, -1, (p - 1) * (q - 1))
    numbers = [0, p * q, e, d, p, q, d % (p - 1), d % (q - 1), pow(q, -1, p)]
    der = genconf("asn1=SEQUENCE:k\n[k]\n" + "".join(f"n{i}=INTEGER:0x{n:x}\n" for i, n in enumerate(numbers)))
    with open(path("key.der"), "wb") as f:
        f.write(der)
    run("rsa", "-inform", "DER", "-in", path("key.der"), "-out", path("key"))
    request(name, path("key"))

# Primes that follow each other (Fermat, CVE-2022-26320).
p = next_prime(random.getrandbits(1024) | 3 << 1022)
rsa("fermat", p, next_prime(p + 2))

# Primes of the form k*M + 65537^a mod M (ROCA, CVE-2017-15361).
M = 1
count, n = 0, 2
while count < 126:
    if all(n % i for i in range(2, int(n ** 0.5) + 1)):
        M *= n
        count += 1
    n += 1
def roca():
    while True:
        k, a = random.getrandbits(1024 - M.bit_length()) | 3 << (1022 - M.bit_length()), random.getrandbits(200)
        p = k * M + pow(65537, a, M)
        if p.bit_length() == 1024 and prime(p):
            return p
rsa("roca", roca(), roca())

# A modulus that a small prime divides.
rsa("small-factor", next_prime((3 << 2046) // 739), 739)

# Requests for public keys without a usable private one. What is signed is right, with d computed here.
def forged(name, n, d):
    run("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", path("key"))
    run("req", "-new", "-sha256", "-key", path("key"), "-subj", "/CN=www.example.com", "-outform", "DER", "-out", path("csr"))
    modulus = int(run("rsa", "-in", path("key"), "-noout", "-modulus").split(b"=")[1], 16)
    der = open(path("csr"), "rb").read()
    size = 256
    der = der.replace(modulus.to_bytes(size, "big"), n.to_bytes(size, "big"))
    info = der[4:4 + 4 + int.from_bytes(der[6:8], "big")]
    digest = bytes.fromhex("3031300d060960864801650304020105000420") + hashlib.sha256(info).digest()
    padded = b"\0\1" + b"\xff" * (size - 3 - len(digest)) + b"\0" + digest
    der = der[:-size] + pow(int.from_bytes(padded, "big"), d, n).to_bytes(size, "big")
    open(path("csr"), "wb").write(der)
    run("req", "-inform", "DER", "-in", path("csr"), "-out", name + ".csr", "-verify")

# A prime as modulus: everybody can compute d.
n = next_prime(random.getrandbits(2048) | 3 << 2046)
while n % 65537 == 1:
    n = next_prime(n + 2)
forged("prime-modulus", n, pow(65537, -1, n - 1))

# Bare keys that cost, or say nonsense.
def public(name, n, e):
    der = genconf(f"asn1=SEQUENCE:k\n[k]\nn=INTEGER:0x{n:x}\ne=INTEGER:{e}\n")
    with open(path("rsa.der"), "wb") as f:
        f.write(der)
    body = genconf("asn1=SEQUENCE:s\n[s]\na=SEQUENCE:a\nk=FORMAT:HEX,BITSTRING:" + der.hex() + "\n[a]\no=OID:rsaEncryption\nn=NULL\n")
    with open(name + ".der", "wb") as f:
        f.write(body)

public("huge-16384", random.getrandbits(16384) | 1 << 16383 | 1, 65537)
public("huge-65536", random.getrandbits(65536) | 1 << 65535 | 1, 65537)
public("even-modulus", (random.getrandbits(2048) | 1 << 2047) & ~1, 65537)
public("exponent1", random.getrandbits(2048) | 1 << 2047 | 1, 1)
public("exponent-even", random.getrandbits(2048) | 1 << 2047 | 1, 65538)
public("exponent-huge", random.getrandbits(2048) | 1 << 2047 | 1, 1 << 80 | 1)

shutil.rmtree(tmp)
