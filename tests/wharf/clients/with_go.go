// Sends files in one form with mime/multipart's writer, and reads the form back with its reader.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
)

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	base, names := os.Args[1], os.Args[2:]
	body, pipe := io.Pipe()
	writer := multipart.NewWriter(pipe)
	go func() {
		must(writer.WriteField("note", "café 🦀"))
		for _, name := range names {
			part, err := writer.CreateFormFile("file", name)
			must(err)
			file, err := os.Open(name)
			must(err)
			_, err = io.Copy(part, file)
			must(err)
		}
		must(writer.Close())
		must(pipe.Close())
	}()
	answer, err := http.Post(base+"/upload", writer.FormDataContentType(), body)
	must(err)
	text, err := io.ReadAll(answer.Body)
	must(err)
	if answer.StatusCode != 201 {
		log.Fatal(string(text))
	}
	var upload struct{ ID string }
	must(json.Unmarshal(text, &upload))
	back, err := http.Get(base + "/download/" + upload.ID)
	must(err)
	_, params, err := mime.ParseMediaType(back.Header.Get("Content-Type"))
	must(err)
	reader := multipart.NewReader(back.Body, params["boundary"])
	note, err := reader.NextPart()
	must(err)
	if value, err := io.ReadAll(note); err != nil || string(value) != "café 🦀" {
		log.Fatal("note: ", string(value), err)
	}
	for _, name := range names {
		part, err := reader.NextPart()
		must(err)
		got, err := io.ReadAll(part)
		must(err)
		want, err := os.ReadFile(name)
		must(err)
		if !bytes.Equal(got, want) {
			log.Fatal("not the same: ", name)
		}
	}
	if _, err := reader.NextPart(); err != io.EOF {
		log.Fatal("more than was sent: ", err)
	}
	fmt.Println(string(text))
}
