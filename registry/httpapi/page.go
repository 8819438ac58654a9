package httpapi

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"strings"
	"time"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
)

//go:embed templates static
var files embed.FS

// templates are the pages; each is one of its own, inside layout.html.
var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"path":   path,
	"method": func(name string) string { return methodNames[name] },
	"date":   func(t time.Time) string { return t.Format("2 January 2006, 15:04 MST") },
}).ParseFS(files, "templates/*.html"))

// methodNames are what people call the checks of a field that is not there.
var methodNames = map[string]string{hashheader.MethodMessageID: "Message-ID", hashheader.MethodHash: "Hash of the Message-ID",
	hashheader.MethodArchivedAt: hashheader.ArchivedAtField}

// A view is what every page is made of.
type view struct {
	Root string // before each path of ours
	Data any
}

// render answers with a page.
func (h *Handler) render(w http.ResponseWriter, status int, name string, data any) {
	var page bytes.Buffer
	v := view{Root: h.root, Data: data}
	if err := templates.ExecuteTemplate(&page, name+".html", v); err != nil {
		h.o.Log.Error("page not made", "page", name, "error", err)
		http.Error(w, "The server failed. Its log says why.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(page.Bytes())
}

// home answers GET /.
func (h *Handler) home(w http.ResponseWriter, _ *http.Request) error {
	h.render(w, http.StatusOK, "home", nil)
	return nil
}

// static answers GET /static/{file}.
func (h *Handler) static(w http.ResponseWriter, r *http.Request) error {
	data, err := files.ReadFile("static/" + r.PathValue("file"))
	if err != nil {
		return errNoRoute
	}
	sum := sha256.Sum256(data)
	w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:8])+`"`)
	w.Header().Set("Cache-Control", "no-cache")
	http.ServeContent(w, r, r.PathValue("file"), time.Time{}, bytes.NewReader(data))
	return nil
}

// A checked message, for the page.
type checked struct {
	*inspection
	Hashes []headerLine // by algorithm, in order
}

// Wrong counts the checks that found something wrong.
func (c checked) Wrong() (n int) {
	for _, check := range c.Checks {
		if !check.Result.Fine() {
			n++
		}
	}
	return n
}

// check answers POST /check: a message that was pasted or sent as a file.
func (h *Handler) check(w http.ResponseWriter, r *http.Request) error {
	header, lists, err := h.readForm(w, r)
	if err != nil {
		return err
	}
	ctx, cancel := h.budget(r)
	defer cancel()
	found, err := h.inspect(ctx, header, lists)
	if err != nil {
		return err
	}
	h.render(w, http.StatusOK, "checked", checked{found, hashRows([]byte(found.MessageID))})
	return nil
}

// algorithmNames are those that people know.
var algorithmNames = map[hashheader.Algorithm]string{hashheader.MD5: "MD5", hashheader.SHA1: "SHA-1", hashheader.SHA256: "SHA-256"}

func hashRows(canonical []byte) (rows []headerLine) {
	for _, a := range hashheader.Algorithms {
		if hash, err := a.Hash(canonical); err == nil {
			rows = append(rows, headerLine{algorithmNames[a], hash})
		}
	}
	return rows
}

// maxValue bounds a form's short values, in bytes.
const maxValue = 4 << 10

// readForm reads the header section of the message in a form, of the file if
// nothing was pasted, and the list that it names. Nothing is kept of bodies.
func (h *Handler) readForm(w http.ResponseWriter, r *http.Request) (header hashheader.Header, lists []string, err error) {
	if err := wantType(r, "multipart/form-data"); err != nil {
		return nil, nil, err
	}
	r.Body = http.MaxBytesReader(w, r.Body, h.o.MaxBody)
	form, err := r.MultipartReader()
	if err != nil {
		return nil, nil, invalid("form: %v", err)
	}
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			return header, lists, nil
		}
		if err != nil {
			return nil, nil, bodyError(err)
		}
		switch part.FormName() {
		case "list":
			value, err := io.ReadAll(io.LimitReader(part, maxValue))
			if err != nil {
				return nil, nil, bodyError(err)
			}
			if list := strings.TrimSpace(string(value)); list != "" {
				lists = append(lists, list)
			}
		case "message", "file":
			read, err := readHeader(part)
			if err != nil {
				return nil, nil, err
			}
			if len(header) == 0 {
				header = read
			}
		}
	}
}

// A statusView is the page of counts.
type statusView struct {
	registry.Stats
	At       time.Time
	Counters []Counter
}

// status answers GET /status, with a token alone: how much mail there is does
// not concern everyone.
func (h *Handler) status(w http.ResponseWriter, r *http.Request) error {
	if err := h.authenticate(r); err != nil {
		return err
	}
	if err := h.allow(r, ScopeRead, ""); err != nil {
		return err
	}
	s, at, err := h.countAll(r.Context())
	if err != nil {
		return err
	}
	v := statusView{Stats: s, At: at}
	if h.o.Counters != nil {
		v.Counters = h.o.Counters()
	}
	h.render(w, http.StatusOK, "status", v)
	return nil
}

// openAPI answers GET /api/v1/openapi.json.
func (h *Handler) openAPI(w http.ResponseWriter, _ *http.Request) error {
	data, err := files.ReadFile("static/openapi.json")
	if err != nil {
		return fmt.Errorf("embedded document: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(data)
	return nil
}
