package mailmantest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
)

// CreateList makes a list, name@lists.example.org, that takes mail from its members alone.
func (m *Mailman) CreateList(ctx context.Context, list string) error {
	return m.post(ctx, "lists", map[string]string{"fqdn_listname": list})
}

// Configure changes settings of a list, by their names in Mailman's REST API.
func (m *Mailman) Configure(ctx context.Context, list string, settings map[string]any) error {
	return m.call(ctx, http.MethodPatch, "lists/"+list+"/config", settings, nil)
}

// Subscribe makes an address a member, without a word to it.
func (m *Mailman) Subscribe(ctx context.Context, list, address string) error {
	return m.AddMember(ctx, list, address, nil)
}

// AddMember makes an address a member as the further attributes say, by their names in Mailman's REST API.
func (m *Mailman) AddMember(ctx context.Context, list, address string, more map[string]any) error {
	member := map[string]any{"list_id": strings.ReplaceAll(list, "@", "."), "subscriber": address,
		"pre_verified": true, "pre_confirmed": true, "pre_approved": true, "send_welcome_message": false}
	maps.Copy(member, more)
	return m.post(ctx, "members", member)
}

// Acknowledge lets Mailman acknowledge each post of a member to him.
func (m *Mailman) Acknowledge(ctx context.Context, list, address string) error {
	var member struct {
		ID string `json:"member_id"`
	}
	if err := m.get(ctx, "lists/"+list+"/member/"+address, &member); err != nil {
		return err
	}
	return m.call(ctx, http.MethodPatch, "members/"+member.ID+"/preferences", map[string]any{"acknowledge_posts": true}, nil)
}

// Moderate decides on the held post with this subject: "accept", "reject" or "discard".
func (m *Mailman) Moderate(ctx context.Context, list, subject, action string) error {
	var held struct {
		Entries []struct {
			ID      int `json:"request_id"`
			Subject string
		}
	}
	if err := m.get(ctx, "lists/"+list+"/held", &held); err != nil {
		return err
	}
	for _, post := range held.Entries {
		if post.Subject == subject {
			return m.post(ctx, fmt.Sprintf("lists/%s/held/%d", list, post.ID), map[string]string{"action": action})
		}
	}
	return fmt.Errorf("%s holds no post %q: %+v", list, subject, held.Entries)
}

// SwitchOff switches archivers of a list off.
func (m *Mailman) SwitchOff(ctx context.Context, list string, archivers ...string) error {
	off := make(map[string]string)
	for _, name := range archivers {
		off[name] = "no" // it takes no booleans here
	}
	return m.call(ctx, http.MethodPatch, "lists/"+list+"/archivers", off, nil)
}

// SendDigest sends a list's digest now.
func (m *Mailman) SendDigest(ctx context.Context, list string) error {
	return m.post(ctx, "lists/"+list+"/digest", map[string]bool{"send": true})
}

func (m *Mailman) post(ctx context.Context, path string, body any) error {
	return m.call(ctx, http.MethodPost, path, body, nil)
}

func (m *Mailman) get(ctx context.Context, path string, answer any) error {
	return m.call(ctx, http.MethodGet, path, nil, answer)
}

// call is one request to Mailman's REST API.
func (m *Mailman) call(ctx context.Context, method, path string, body, answer any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	base, user, password := m.REST()
	request, err := http.NewRequestWithContext(ctx, method, base+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.SetBasicAuth(user, password)
	request.Header.Set("Content-Type", "application/json")
	if body == nil {
		request.Body = http.NoBody
	}
	return m.do(request, answer)
}

// do sends a request and decodes the answer, unless answer is nil.
func (m *Mailman) do(request *http.Request, answer any) error {
	response, err := m.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return err
	}
	if response.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %.300s", request.Method, request.URL, response.Status, text)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(text, answer)
}
