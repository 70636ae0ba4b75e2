"""A client in Python, as an integrator would write it: fetches a certificate and
calls the web services with it. Exits with an error at the first surprise."""
import json
import re
import sys
import time

import requests
import requests_pkcs12

base, production, trust, logins = sys.argv[1], sys.argv[2], sys.argv[3], json.load(open(sys.argv[4]))
api = requests.Session()
api.verify = trust
api.headers["Authorization"] = "Bearer " + logins["Token"]


def expect(response, status):
    if response.status_code != status:
        sys.exit(f"{response.request.method} {response.url} answered {response.status_code}, not {status}: {response.text[:300]}")
    return response


def message(to, pattern):
    for _ in range(200):
        for m in requests.get(base + "/outbox", params={"to": to}, headers={"Accept": "application/json"}, verify=trust).json():
            found = re.search(pattern, m["body"])
            if found:
                return found.group(1)
        time.sleep(0.05)
    sys.exit(f"no message to {to} matches {pattern}")


order = expect(api.post(base + "/api/v1/orders", json={
    "realm": "production", "service": "demo", "shortName": "python client", "orderer": logins["Orderer"], "mode": "generate", "algorithm": "rsa2048",
}), 201).json()
link = message("person@demo.example", r"(https://\S+/pickup/\S+)")
browser = requests.Session()
browser.verify = trust
expect(browser.post(link + "/code", data={"code": message("+4790000000", r": (\d{6}) ")}, allow_redirects=False), 303)
key_file = expect(browser.get(link + "/file"), 200).content
password = message("+4790000000", r"Password for \S*python-client\S*: (\S+)\. ")

mutual = requests.Session()
mutual.mount("https://", requests_pkcs12.Pkcs12Adapter(pkcs12_data=key_file, pkcs12_password=password))
mutual.verify = trust
mutual.auth = ("demo", logins["Production"])
document = b"%PDF-1.7 " + b"x" * 300_000
sds = production + "/doc/demo/sds"
ident = expect(mutual.post(sds, data=document, headers={"Content-Type": "application/pdf"}), 201).text
assert len(ident) == 58, ident
got = expect(mutual.get(sds + "/" + ident), 200)
assert got.content == document and got.headers["Content-Type"] == "application/pdf"
assert mutual.delete(sds + "/" + ident).ok
expect(mutual.get(sds + "/" + ident), 404)
refused = requests.get(sds + "/" + ident, auth=("demo", logins["Production"]), verify=trust)
assert refused.status_code in (401, 403), refused.status_code
expect(api.post(base + "/api/v1/orders/" + order["id"] + "/withdraw", json={"reason": "superseded"}), 200)
assert mutual.get(sds + "/" + ident).status_code in (401, 403), "the certificate still works after its withdrawal"
print("python: ordered, fetched, used and withdrawn")
