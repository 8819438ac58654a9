package mailmantest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"permalink-milter/milter/mtatest"
)

// Archived is a message as HyperKitty's API describes it.
type Archived struct {
	List      string `json:"list"`            // from All alone
	MessageID string `json:"message_id"`      // without angle brackets
	Hash      string `json:"message_id_hash"` // in the URL of its page
	Subject   string `json:"subject"`
}

// HyperKitty is the base URL of the web archive. Page trusts its certificate.
func (m *Mailman) HyperKitty() string { return base(m.o.Web) }

func base(web string) string { return "https://" + web + "/hyperkitty/" }

// prepareWeb makes HyperKitty's database.
func (m *Mailman) prepareWeb(ctx context.Context) error {
	_, err := m.Run(ctx, "", m.file("python/prepare.py"))
	return err
}

func (m *Mailman) startWeb(ctx context.Context) (err error) {
	server := m.command(context.Background(), "-m", "gunicorn.app.wsgiapp", "--bind", m.o.Web, "--threads", "4",
		"--certfile", m.file("cert.pem"), "--keyfile", m.file("key.pem"), "django.core.wsgi:get_wsgi_application()")
	m.kitty, err = mtatest.StartProgram(ctx, server, func(ctx context.Context) error {
		_, err := m.Page(ctx, m.HyperKitty())
		return err
	})
	return err
}

// Page returns a page of the web archive.
func (m *Mailman) Page(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := m.http.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %.300s", url, response.Status, text)
	}
	return string(text), err
}

// Lookup returns the archived message whose page has this hash in its URL.
func (m *Mailman) Lookup(ctx context.Context, list, hash string) (a Archived, err error) {
	err = m.ask(ctx, "list/"+list+"/email/"+hash+"/?format=json", &a)
	return a, err
}

// WaitArchived is Lookup for a message that is on its way.
func (m *Mailman) WaitArchived(ctx context.Context, list, hash string) (a Archived, err error) {
	err = until(ctx, func() error {
		a, err = m.Lookup(ctx, list, hash)
		return err
	})
	return a, err
}

// List returns all archived messages of a list.
func (m *Mailman) List(ctx context.Context, list string) (all []Archived, err error) {
	err = m.ask(ctx, "list/"+list+"/emails/?format=json&limit=1000", &all)
	return all, err
}

// ask is one request to HyperKitty's API.
func (m *Mailman) ask(ctx context.Context, path string, answer any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, m.HyperKitty()+"api/"+path, nil)
	if err != nil {
		return err
	}
	return m.do(request, answer)
}

// All returns the messages of all lists, without their subjects. It asks the database: the API answers 500 for a list
// that HyperKitty has not heard of.
func (m *Mailman) All(ctx context.Context) (all []Archived, err error) {
	out, err := m.Run(ctx, "", m.file("python/archived.py"))
	if err != nil {
		return nil, err
	}
	for lines := json.NewDecoder(bytes.NewReader(out)); ; {
		var a Archived
		if err := lines.Decode(&a); err != nil {
			if errors.Is(err, io.EOF) {
				return all, nil
			}
			return nil, fmt.Errorf("read what archived.py prints: %w", err)
		}
		all = append(all, a)
	}
}

// PageOf is the URL of an archived message's page.
func (m *Mailman) PageOf(a Archived) string {
	return m.HyperKitty() + "list/" + a.List + "/message/" + a.Hash + "/"
}
