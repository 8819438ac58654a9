package httpapi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"permalink-milter/hashheader"
	"permalink-milter/hashheader/mailbox"
	"permalink-milter/registry/httpapi/page"
)

// render answers with a page.
func (x *exchange) render(status int, v page.View) {
	html, err := page.Render(x.root, v)
	if err != nil {
		x.o.Log.Error("page not made", "error", err)
		http.Error(x, "The server failed. Its log says why.", http.StatusInternalServerError)
		return
	}
	x.Header().Set("Content-Type", "text/html; charset=utf-8")
	x.WriteHeader(status)
	_, _ = x.Write(html) // fails where the client is gone
}

// home answers GET /.
func (x *exchange) home() error {
	x.render(http.StatusOK, page.Home{})
	return nil
}

// static answers GET /static/{file}.
func (x *exchange) static() error {
	name := x.r.PathValue("file")
	data, tag, ok := page.File(name)
	if !ok {
		return errNoRoute
	}
	x.Header().Set("ETag", tag)
	x.Header().Set("Cache-Control", "no-cache")
	http.ServeContent(x, x.r, name, time.Time{}, bytes.NewReader(data))
	return nil
}

// maxChecked bounds the messages of a mailbox that one request looks at.
const maxChecked = 20

// check answers POST /check: a message or a mailbox that was pasted or sent as
// a file.
func (x *exchange) check() error {
	f, err := x.readForm()
	if err != nil {
		return err
	}
	ctx, cancel := x.budget()
	defer cancel()
	var v page.Checked
	messages := mailbox.Split(f.text())
	v.Left = max(len(messages)-maxChecked, 0)
	for _, text := range messages[:len(messages)-v.Left] {
		m, err := x.checkOne(ctx, text, f.lists)
		if err != nil && (len(messages) == 1 || !errors.Is(err, errNoID) && !errors.Is(err, errTooLarge)) {
			return err
		}
		if err != nil {
			m.Problem = newProblem(err).Detail
		}
		v.Messages = append(v.Messages, m)
	}
	x.render(http.StatusOK, v)
	return nil
}

// maxShown bounds a value on a page, in bytes.
const maxShown = 300

// checkOne says what can be said about one message.
func (x *exchange) checkOne(ctx context.Context, text []byte, lists []string) (m page.Message, err error) {
	header, err := readHeader(bytes.NewReader(text))
	if err != nil {
		return m, err
	}
	show := func(name string) string {
		value, _ := header.First(name)
		return hashheader.Display(value, maxShown)
	}
	m.From, m.Date, m.Subject = show("From"), show("Date"), show("Subject")
	in, err := x.inspect(ctx, header, lists)
	if err != nil {
		return m, err
	}
	m.MessageID, m.Derived, m.Hashes = in.MessageID, in.Derived, hashRows([]byte(in.MessageID))
	m.Checks, m.Permalinks, m.Header, m.Notes = in.Checks, in.Permalinks, in.Header, in.notes
	return m, nil
}

// algorithmNames holds the names that people know.
var algorithmNames = map[hashheader.Algorithm]string{hashheader.MD5: "MD5", hashheader.SHA1: "SHA-1", hashheader.SHA256: "SHA-256"}

func hashRows(canonical []byte) (rows []page.Row) {
	for _, a := range hashheader.Algorithms {
		if hash, err := a.Hash(canonical); err == nil {
			rows = append(rows, page.Row{Name: algorithmNames[a], Value: hash})
		}
	}
	return rows
}

// maxValue bounds a form's short values, in bytes.
const maxValue = 4 << 10

// A checkForm is what the form of the first page sends.
type checkForm struct {
	lists        []string
	pasted, file []byte
}

// text returns what was pasted, else the file.
func (f *checkForm) text() []byte {
	if len(bytes.TrimSpace(f.pasted)) > 0 {
		return f.pasted
	}
	return f.file
}

func (x *exchange) readForm() (f checkForm, err error) {
	if err := wantType(x.r, "multipart/form-data"); err != nil {
		return f, err
	}
	x.r.Body = x.body(min(x.o.MaxBody, maxPublic))
	form, err := x.r.MultipartReader()
	if err != nil {
		return f, invalid("form: %v", err)
	}
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			return f, nil
		}
		if err != nil {
			return f, bodyError(err)
		}
		value, err := io.ReadAll(part)
		if err != nil {
			return f, bodyError(err)
		}
		f.set(part.FormName(), value)
	}
}

func (f *checkForm) set(name string, value []byte) {
	switch name {
	case "list":
		if list := strings.TrimSpace(string(value[:min(len(value), maxValue)])); list != "" {
			f.lists = append(f.lists, list)
		}
	case "message":
		f.pasted = value
	case "file":
		f.file = value
	}
}
