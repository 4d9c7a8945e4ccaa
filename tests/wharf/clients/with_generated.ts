// Uploads, lists, prolongs and deletes with the types that openapi-typescript makes of the document.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

declare const process: { argv: string[] };

function assert(holds: unknown, what: string): asserts holds {
  if (!holds) throw new Error(what);
}

const client = createClient<paths>({ baseUrl: process.argv[2] });

/** The form of a body: what is in `file` are files, all else is text. */
function form(body: Record<string, unknown>): FormData {
  const form = new FormData();
  for (const [name, values] of Object.entries(body)) {
    for (const value of [values].flat()) {
      if (name === "file") form.append(name, new Blob([String(value)]), "part1.txt");
      else form.append(name, String(value));
    }
  }
  return form;
}

const sent = await client.POST("/upload", {
  params: { query: { expires_in: "1h" } },
  body: { file: ["hello wharf\n"], wharf_title: "The first part", age: "23" },
  bodySerializer: form,
});
// Plain text is the share link, for who asks for it.
assert(sent.response.status === 201 && typeof sent.data === "object", JSON.stringify(sent.error));
const created: components["schemas"]["Created"] = sent.data;
assert(created.files[0].name === "part1.txt" && created.files[0].size === 12, "it has the file");
assert(created.fields.age[0] === "23" && created.title === "The first part", "and the text");

const listed = await client.GET("/uploads", { params: { query: { limit: 10 } } });
assert(listed.data?.uploads.some((upload) => upload.id === created.id), "it is listed");

const path = { id: created.id };
const headers = { "Wharf-Token": created.delete_token };
const changed = await client.PATCH("/uploads/{id}", {
  params: { path },
  body: { expires_in: "7d" },
  headers,
});
const end = Date.parse(changed.data?.expires_at ?? "");
assert(end > Date.now() + 6 * 86_400_000, "it is kept for longer");

const file = await client.GET("/files/{id}/{name}", {
  params: { path: { ...path, name: "part1.txt" } },
  parseAs: "text",
});
assert(file.response.ok && String(file.data) === "hello wharf\n", "the file is what was sent");

const wrong = await client.DELETE("/uploads/{id}", {
  params: { path },
  headers: { "Wharf-Token": "wrong" },
});
assert(wrong.error?.code === "upload-not-found", "another token does not delete");
const gone = await client.DELETE("/uploads/{id}", { params: { path }, headers });
assert(gone.response.status === 204, "its own does");
const after = await client.GET("/uploads/{id}", { params: { path } });
assert(after.response.status === 404, "it is gone");
