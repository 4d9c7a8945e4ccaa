"""Compares answers with the OpenAPI document that describes them.

Standard input has both: {"document": ..., "answers": [{"operation", "status", "headers", "body"}]}.
"""

import json
import sys
from collections import defaultdict

from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

# Of the connection, or of the body where the document says nothing of it.
OF_HTTP = {"connection", "content-length", "content-type", "date", "transfer-encoding"}
# These have their causes everywhere: one operation that has met them is enough. A file that lies in
# a bucket (307) is the business of s3.rs.
ANYWHERE = {307, 400, 408, 409, 413, 415, 421, 429, 500, 501, 503, 507}

given = json.load(sys.stdin)
document = given["document"]
resource = Resource.from_contents(document, default_specification=DRAFT202012)
registry = Registry().with_resource("urn:document", resource)
operations = {
    operation["operationId"]: (path, method, operation)
    for path, methods in document["paths"].items()
    for method, operation in methods.items()
}
faults = []


def escaped(part):
    return part.replace("~", "~0").replace("/", "~1")


def resolved(value):
    while "$ref" in value:
        target = document
        for part in value["$ref"].removeprefix("#/").split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        value = target
    return value


def validate(pointer, value, where):
    reference = "urn:document#" + "".join("/" + escaped(part) for part in pointer)
    for error in Draft202012Validator({"$ref": reference}, registry=registry).iter_errors(value):
        faults.append(f"{where}: {error.json_path}: {error.message[:300]}")


def compare_body(answer, response, pointer, where):
    media_type = dict(answer["headers"]).get("content-type", "").split(";")[0]
    content = response.get("content")
    if content is None and answer["body"]:
        faults.append(f"{where}: it has a body")
    if content is None or not answer["body"]:
        return
    described = media_type if media_type in content else "*/*"
    if described not in content:
        faults.append(f"{where}: {media_type} is not described")
    elif media_type.endswith("json"):
        validate([*pointer, "content", described, "schema"], json.loads(answer["body"]), where)


seen = set()
fields_seen = defaultdict(set)
for answer in given["answers"]:
    name, status = answer["operation"], str(answer["status"])
    where = f"{name} {status}"
    path, method, operation = operations[name]
    response = operation["responses"].get(status)
    if response is None:
        faults.append(f"{where}: the status is not described: {answer['body'][:200]}")
        continue
    seen.add((name, status))
    sent = {field for field, _ in answer["headers"]}
    fields = {field.lower(): resolved(value) for field, value in response["headers"].items()}
    for field in sent & fields.keys():
        fields_seen[status].add(field)
    for field, described in fields.items():
        if described["required"] and field not in sent:
            faults.append(f"{where}: it lacks {field}")
    for field in sent - fields.keys() - OF_HTTP:
        faults.append(f"{where}: {field} is not described")
    compare_body(answer, response, ["paths", path, method, "responses", status], where)

statuses = {status for _, status in seen}
for name, (_, _, operation) in operations.items():
    for status, response in operation["responses"].items():
        anywhere = int(status) in ANYWHERE
        if (name, status) not in seen and not (anywhere and (status in statuses or status == "307")):
            faults.append(f"{name}: {status} was not met")
        for field in response["headers"]:
            # One that was too slow is told when to come again: crowded.rs has such a crowd.
            elsewhere = status == "307" or (status, field) == ("408", "Retry-After")
            if field.lower() not in fields_seen[status] and not elsewhere:
                faults.append(f"{name} {status}: {field} was not met")

print("\n".join(sorted(set(faults))))
sys.exit(bool(faults))
