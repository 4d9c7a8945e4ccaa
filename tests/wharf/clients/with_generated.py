"""Uploads, lists, prolongs and deletes with the client that openapi-python-client has made."""

import sys
from datetime import datetime, timedelta, timezone
from io import BytesIO

from wharf_client import AuthenticatedClient, Client
from wharf_client.api.downloads import get_file
from wharf_client.api.uploads import (
    create_upload,
    delete_upload,
    get_upload,
    list_uploads,
    update_upload,
)
from wharf_client.models import Change, Created, CreateUploadBody, Problem
from wharf_client.types import File

client = Client(base_url=sys.argv[1])
content = b"hello wharf\n"
part = File(payload=BytesIO(content), file_name="part1.txt", mime_type="text/plain")
body = CreateUploadBody(file=[part], wharf_title="The first part")
body["age"] = "23"
created = create_upload.sync(client=client, body=body, expires_in="1h")
assert isinstance(created, Created), created
assert created.title == "The first part" and created.fields.to_dict() == {"age": ["23"]}, created
assert [(file.name, file.size) for file in created.files] == [("part1.txt", len(content))]

listed = list_uploads.sync(client=client, limit=10)
assert created.id in [upload.id for upload in listed.uploads], listed

owner = AuthenticatedClient(base_url=sys.argv[1], token=created.delete_token)
changed = update_upload.sync(id=created.id, client=owner, body=Change(expires_in="7d"))
assert changed.expires_at > datetime.now(timezone.utc) + timedelta(days=6), changed

file = get_file.sync_detailed(id=created.id, name="part1.txt", client=client)
assert file.content == content, file

stranger = AuthenticatedClient(base_url=sys.argv[1], token="wrong")
wrong = delete_upload.sync(id=created.id, client=stranger)
assert isinstance(wrong, Problem) and wrong.code == "upload-not-found", wrong
assert delete_upload.sync_detailed(id=created.id, client=owner).status_code == 204
gone = get_upload.sync(id=created.id, client=client)
assert isinstance(gone, Problem) and gone.status == 404, gone
