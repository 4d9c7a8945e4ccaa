"""Sends files in one form with requests, and reads them back."""
import sys
import requests

base, names = sys.argv[1], sys.argv[2:]
files = [("file", (name, open(name, "rb"))) for name in names]
answer = requests.post(base + "/upload", data={"note": "café 🦀"}, files=files)
assert answer.status_code == 201, answer.text
for file, name in zip(answer.json()["files"], names):
    assert requests.get(file["url"]).content == open(name, "rb").read(), name
print(answer.text)
