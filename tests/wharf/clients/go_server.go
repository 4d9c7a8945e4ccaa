// Reads forms with mime/multipart's reader and says what was in them; writes forms with its writer.
package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/textproto"
	"strings"
)

type part struct {
	Field    string `json:"field"`
	Filename string `json:"filename"`
	Type     string `json:"type"`
	Size     int64  `json:"size"`
	Sha256   string `json:"sha256"`
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func upload(w http.ResponseWriter, r *http.Request) {
	reader, err := r.MultipartReader()
	if err != nil {
		http.Error(w, err.Error(), 400)
		return
	}
	parts := []part{}
	for {
		p, err := reader.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			http.Error(w, err.Error(), 400)
			return
		}
		_, params, err := mime.ParseMediaType(p.Header.Get("Content-Disposition"))
		must(err)
		hash := sha256.New()
		size, err := io.Copy(hash, p)
		if err != nil {
			http.Error(w, err.Error(), 400)
			return
		}
		sum := hex.EncodeToString(hash.Sum(nil))
		parts = append(parts, part{p.FormName(), params["filename"], p.Header.Get("Content-Type"), size, sum})
	}
	w.Header().Set("Content-Type", "application/json")
	chunked := len(r.TransferEncoding) > 0
	must(json.NewEncoder(w).Encode(map[string]any{
		"length": r.ContentLength, "chunked": chunked, "parts": parts, "query": r.URL.RawQuery,
	}))
}

func file(w *multipart.Writer, name string, header map[string]string, content string) {
	h := textproto.MIMEHeader{}
	h.Set("Content-Disposition", `form-data; name="f"; filename="`+name+`"`)
	h.Set("Content-Type", "text/plain")
	for key, value := range header {
		h.Set(key, value)
	}
	p, err := w.CreatePart(h)
	must(err)
	_, err = io.WriteString(p, content)
	must(err)
}

func download(w http.ResponseWriter, r *http.Request) {
	form := multipart.NewWriter(w)
	w.Header().Set("Content-Type", form.FormDataContentType())
	sum := sha256.Sum256([]byte("good"))
	digest := "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
	switch strings.TrimPrefix(r.URL.Path, "/download/") {
	case "plain":
		must(form.WriteField("note", "café 🦀"))
		for _, name := range []string{"naïve € 日本.bin", `quote"and space.bin`} {
			p, err := form.CreateFormFile("file", name)
			must(err)
			_, err = io.WriteString(p, strings.Repeat(name, 100000))
			must(err)
		}
		must(form.WriteField("note", "second"))
	case "hostile":
		names := []string{"../../escape.txt", "/tmp/wharf-absolute.txt", "..", ".", "", "link", ".hidden",
			`C:\\Windows\\win.ini`, "a/../../b.txt", "twin.txt", "TWIN.TXT", "esc\x1b[31m.txt", "sub/",
			"con.txt", "line%0D%0Abreak.txt", strings.Repeat("long ", 80) + ".txt", "trailing. . "}
		for _, name := range names {
			file(form, name, nil, name)
		}
	case "damaged":
		file(form, "first.txt", map[string]string{"Repr-Digest": digest}, "good")
		file(form, "digest.txt", map[string]string{"Repr-Digest": digest}, "bad")
		file(form, "size.txt", map[string]string{"Content-Length": "5"}, "good")
		file(form, "nonsense.txt", map[string]string{"Repr-Digest": "sha-256=good"}, "good")
		file(form, "last.txt", map[string]string{"Repr-Digest": digest, "Content-Length": "4"}, "good")
	case "open":
		file(form, "whole.txt", nil, "whole")
		file(form, "cut.txt", nil, "this is not the e")
		return // without the close delimiter
	default:
		http.Error(w, "nothing of that name", 404)
		return
	}
	must(form.Close())
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	http.HandleFunc("/upload", upload)
	http.HandleFunc("/download/", download)
	fmt.Println(listener.Addr())
	must(http.Serve(listener, nil))
}
