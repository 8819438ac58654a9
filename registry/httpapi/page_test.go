package httpapi_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"iter"
	"math"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"permalink-milter/hashheader"
	"permalink-milter/hashheader/golden"
	"permalink-milter/registry"
	"permalink-milter/registry/httpapi"
	"permalink-milter/registry/memreg"
)

// basic is the value of Authorization with a token as the password.
func basic(token string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte("me:"+token))
}

// Two messages, the first with text that looks like a third, and one that
// cannot be named.
const mailbox = "From a@example.org Tue Nov 24 10:00:00 2026\nFrom: =?ISO-2022-JP?B?GyRCRnxLXDhsGyhC?= <a@example.org>\n" +
	"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nMessage-ID: <1@example.org>\nDate: Tue, 24 Nov 2026 10:00:00 +0000\nList-Post: <mailto:" + list + ">\n\n" +
	"Text\nFrom here on it is text.\n\n>From here on, too.\n\n" +
	"From b@example.org Tue Nov 24 11:00:00 2026\nMessage-ID: <2@example.org>\nMessage-ID-MD5: " + hash + "\n\nText\n\n" +
	"From c@example.org Tue Nov 24 12:00:00 2026\nSubject: no name\n\n"

// The main part of every page.
func TestPages(t *testing.T) {
	token, tokens := everything(t)
	counters := func() []httpapi.Counter { return []httpapi.Counter{{Name: "messages stamped", Value: 1234567}} }
	g := prepared(t)
	for n := range 3 {
		must(g.Reserve(t.Context(), registry.Request{List: "two@one.example.org", Hash: hash, Identity: identity(n)}))
	}
	for _, token := range []string{hash, hash + "-3"} {
		must(g.Confirm(t.Context(), registry.Confirmation{List: "two@one.example.org", Token: token, URL: "https://one.example/of/" + token}))
	}
	must(g.Reserve(t.Context(), registry.Request{List: "users@lists.example.org", Hash: hash, Identity: identity(1)}))
	h := newHandler(t, httpapi.Options{Registry: g, Tokens: tokens, Counters: counters})
	var printed strings.Builder
	for _, c := range []struct {
		name, method, target string
		fields               []string
	}{
		{"home", "GET", "/", nil},
		{"a checked message", "POST", "/check", form("message=" + pasted)},
		{"a checked message that is new", "POST", "/check", form("message=From: a@b.example\nDate: x\n", "list="+list)},
		{"a mailbox", "POST", "/check", form("message=" + mailbox)},
		{"a search by Message-ID", "GET", "/search?q=" + firstID + "&list=" + list, nil},
		{"a search by Message-ID on every list", "GET", "/search?q=" + firstID, nil},
		{"a search that finds nothing", "GET", "/search?q=a@b", nil},
		{"a choice of messages", "GET", "/two@one.example.org/" + hash, nil},
		{"a message in several archives", "GET", "/users@lists.example.org/" + hash, nil},
		{"an unknown permalink", "GET", "/" + list + "/" + hash + "-9", nil},
		{"status", "GET", "/status", []string{"Authorization: " + basic(token)}},
		{"a problem", "GET", "/status", nil},
	} {
		page := text(do(h, c.method, c.target, c.fields...))
		if !strings.HasPrefix(page, "<!DOCTYPE html>\n<html lang=\"en\">") || !strings.HasSuffix(page, "</html>\n\n") || strings.Count(page, "<h1>") != 1 {
			t.Errorf("%s is not a whole page: %s", c.name, page)
		}
		_, main, _ := strings.Cut(page, "<main")
		main, _, _ = strings.Cut(main, "</main>")
		fmt.Fprintf(&printed, "== %s\n<main%s</main>\n", c.name, main)
	}
	golden.Equal(t, "testdata/pages.golden", printed.String())
}

func TestAMailboxOfManyMessagesIsCut(t *testing.T) {
	h := newHandler(t, httpapi.Options{})
	message := "From a Tue Nov 24 10:00:00 2026\r\nMessage-ID: <a@b.example>\r\n\r\n"
	got := text(do(h, "POST", "/check", form("message="+strings.Repeat(message, 25))...))
	if !strings.Contains(got, "20 checked messages") || !strings.Contains(got, "The other 5 in it") {
		t.Errorf("%s", got)
	}
}

// mailboxFiles has the mailboxes of testdata and how many messages each holds.
func mailboxFiles(t *testing.T) map[string]int {
	t.Helper()
	files := make(map[string]int)
	for line := range strings.Lines(string(must(os.ReadFile(mailboxDir + "want.tsv")))) {
		file, number, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if n, err := strconv.Atoi(number); err == nil {
			files[file] = n
		}
	}
	if len(files) < 26 {
		t.Fatalf("%d mailboxes", len(files))
	}
	return files
}

const mailboxDir = "../../testdata/mbox/"

// The page finds the messages that the tool finds.
func TestEveryMessageOfAMailboxIsChecked(t *testing.T) {
	h := newHandler(t, httpapi.Options{Rate: -1})
	for file, want := range mailboxFiles(t) {
		data := must(os.ReadFile(mailboxDir + file))
		page := text(do(h, "POST", "/check", form("message="+string(data))...))
		got := strings.Count(page, `class="card"`)
		if got != want {
			t.Errorf("%s: %d messages, want %d", file, got, want)
		}
	}
}

func TestASearchFindsOnEveryListOfTheRegistry(t *testing.T) {
	g := prepared(t)
	at := &clock{now: now()}
	h := newHandler(t, httpapi.Options{Registry: g, Now: at.Now})
	ask := func() string { return text(do(h, "GET", "/search?q=new@example.org")) }
	if page := ask(); !strings.Contains(page, "Not reserved") {
		t.Fatalf("before: %s", page)
	}
	for list, algorithm := range map[string]hashheader.Algorithm{"any@nowhere.example": hashheader.SHA256, "other@one.example.org": hashheader.MD5} {
		hash := must(algorithm.Hash([]byte("new@example.org")))
		must(g.Reserve(t.Context(), registry.Request{List: list, Hash: hash, Identity: identity(1)}))
	}
	at.advance(4 * time.Second) // what was read a while ago does not hide them
	if page := ask(); !strings.Contains(page, "any@nowhere.example") || !strings.Contains(page, "other@one.example.org") {
		t.Errorf("afterwards: %s", page)
	}
}

// onLists returns a registry in which a message holds the hash on each of n
// lists, and another message another hash on the last of them.
func onLists(t *testing.T, n int, last string) registry.Registry {
	t.Helper()
	g := registry.New(memreg.New(), registry.Options{Now: now})
	name := func(n int) string { return fmt.Sprintf("list%05d@example.org", n) }
	for n := range n {
		must(g.Reserve(t.Context(), registry.Request{List: name(n), Hash: hash, Identity: identity(1)}))
	}
	must(g.Reserve(t.Context(), registry.Request{List: name(n - 1), Hash: last, Identity: identity(1)}))
	return g
}

// The bounds of a search are those of its worst case: see "What strangers can
// do" in config/OPERATING.md.
func TestASearchOfManyListsFindsOnTheLastAndSaysWhereItEnds(t *testing.T) {
	const last = "VP3JZR3MSKY5TQSMS5FHURHQXI"
	for _, c := range []struct {
		lists        int
		search, says string
	}{
		{3000, last, "list02999@example.org"},
		{httpapi.MaxSearched + 1, "VP3JZR3MSKY5TQSMS5FHURHQXA", "Only 10000 lists were searched"},
		{1500, hash, "Only 1001 lists were searched"}, // a configured one, and those of 1000 messages
	} {
		h := newHandler(t, httpapi.Options{Registry: onLists(t, c.lists, last)})
		if page := text(do(h, "GET", "/search?q="+c.search)); !strings.Contains(page, c.says) {
			t.Errorf("%d lists, %s: the page does not say %q in %d bytes", c.lists, c.search, c.says, len(page))
		}
	}
}

// A registry that takes longer to read than a search may wait is searched as
// far as it was read.
func TestASearchUsesWhatWasReadOfALargeRegistry(t *testing.T) {
	h := newHandler(t, httpapi.Options{Registry: broken{onLists(t, 3, hash)}})
	if page := text(do(h, "GET", "/search?q="+hash)); !strings.Contains(page, "list00002@example.org") {
		t.Errorf("%s", page)
	}
}

// Each control of a form has its label.
func TestEveryInputHasALabel(t *testing.T) {
	page := text(do(newHandler(t, httpapi.Options{}), "GET", "/"))
	inputs := 0
	for _, tag := range []string{"<input ", "<textarea "} {
		for _, part := range strings.Split(page, tag)[1:] {
			id, _, _ := strings.Cut(strings.TrimPrefix(part, `id="`), `"`)
			inputs++
			if !strings.Contains(page, `<label for="`+id+`"`) {
				t.Errorf("%s has no label", id)
			}
		}
	}
	if inputs != 5 {
		t.Errorf("%d inputs", inputs)
	}
}

func TestStaticFilesAreKeptByClients(t *testing.T) {
	h := newHandler(t, httpapi.Options{})
	for file, contentType := range map[string]string{"style.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"} {
		answer := do(h, "GET", "/static/"+file)
		tag := answer.Header.Get("ETag")
		if answer.StatusCode != 200 || !strings.HasPrefix(answer.Header.Get("Content-Type"), contentType) || tag == "" {
			t.Errorf("%s: %d %v", file, answer.StatusCode, answer.Header)
		}
		if again := do(h, "GET", "/static/"+file, "If-None-Match: "+tag); again.StatusCode != 304 {
			t.Errorf("%s again: %d", file, again.StatusCode)
		}
	}
}

// A counting registry counts how often the whole store is read.
type counting struct {
	registry.Registry
	n   int
	err error
}

func (c *counting) Stats(context.Context) (registry.Stats, error) {
	c.n++
	time.Sleep(5 * time.Millisecond)
	return registry.Stats{Hashes: c.n}, c.err
}

// Counts are reused for twenty times what counting took, and at most for a
// minute.
func TestCountsAreReusedForAWhile(t *testing.T) {
	at := &clock{now: now()}
	g := &counting{err: errDown}
	token, tokens := everything(t)
	h := newHandler(t, httpapi.Options{Registry: g, Tokens: tokens, Now: at.Now})
	stats := func() string { return text(do(h, "GET", "/api/v1/stats", "Authorization: Bearer "+token)) }
	if first := stats(); !strings.Contains(first, "unavailable") {
		t.Errorf("an error: %s", first)
	}
	g.err = nil
	stats()
	at.advance(99 * time.Millisecond)
	if second := stats(); !strings.Contains(second, `"hashes": 2`) || !strings.Contains(second, `"at": "2026-11-24T11:00:00Z"`) {
		t.Errorf("at once: %s", second)
	}
	at.advance(time.Minute)
	if third := stats(); !strings.Contains(third, `"hashes": 3`) {
		t.Errorf("a minute later: %s", third)
	}
}

// A broken registry ends its listing with an error.
type broken struct{ registry.Registry }

func (b broken) List(ctx context.Context, list string) iter.Seq2[registry.Reservation, error] {
	return func(yield func(registry.Reservation, error) bool) {
		for r, err := range b.Registry.List(ctx, list) {
			if !yield(r, err) {
				return
			}
		}
		yield(registry.Reservation{}, errDown)
	}
}

func TestAListingThatBreaksOffSaysSo(t *testing.T) {
	token, tokens := everything(t)
	h := newHandler(t, httpapi.Options{Registry: broken{prepared(t)}, Tokens: tokens})
	answer := do(h, "GET", listOp.target, "Authorization: Bearer "+token)
	lines := strings.Split(strings.TrimSpace(text(answer)), "\n")
	if answer.StatusCode != 200 || len(lines) != 4 || !strings.Contains(lines[3], `"problem":{"type":"urn:permalink-milter:problem:unavailable"`) {
		t.Errorf("%d %q", answer.StatusCode, lines)
	}
}

// A slow registry takes longer for a listing than a server for other answers.
type slow struct{ registry.Registry }

func (slow) List(context.Context, string) iter.Seq2[registry.Reservation, error] {
	return func(yield func(registry.Reservation, error) bool) {
		for n := range 600 {
			if n == 300 {
				time.Sleep(300 * time.Millisecond)
			}
			if !yield(registry.Reservation{List: list, Hash: hash, Ordinal: n + 1, State: registry.Reserved}, nil) {
				return
			}
		}
	}
}

func TestAListingMayTakeLongerThanOtherAnswers(t *testing.T) {
	token, tokens := everything(t)
	server := httptest.NewUnstartedServer(newHandler(t, httpapi.Options{Registry: slow{}, Tokens: tokens}))
	server.Config.WriteTimeout = 100 * time.Millisecond
	server.Start()
	defer server.Close()
	n := 0
	for _, err := range (&httpapi.Client{Base: server.URL, Token: token, HTTP: server.Client()}).List(t.Context(), list) {
		if err != nil {
			t.Fatalf("after %d: %v", n, err)
		}
		n++
	}
	if n != 600 {
		t.Errorf("%d lines", n)
	}
}

// The colours of text on what is behind it, by WCAG 2.1, 1.4.3: 4.5 to 1.
func TestColoursHaveContrast(t *testing.T) {
	style := text(do(newHandler(t, httpapi.Options{}), "GET", "/static/style.css"))
	light, dark, _ := strings.Cut(style, "prefers-color-scheme: dark")
	for name, part := range map[string]string{"light": light, "dark": dark} {
		for _, pair := range []string{"text back", "text card", "soft back", "soft card", "link card", "link back", "on-link link",
			"good good-back", "bad bad-back", "mid mid-back", "soft none-back"} {
			front, back, _ := strings.Cut(pair, " ")
			a, b := luminance(t, part, front), luminance(t, part, back)
			if ratio := (max(a, b) + 0.05) / (min(a, b) + 0.05); ratio < 4.5 {
				t.Errorf("%s: %s on %s has %.2f to 1", name, front, back, ratio)
			}
		}
	}
}

// luminance is the relative luminance of a colour of the style.
func luminance(t *testing.T, style, name string) (sum float64) {
	t.Helper()
	_, value, _ := strings.Cut(style, "--"+name+": #")
	var rgb [3]uint8
	if _, err := fmt.Sscanf(value, "%02x%02x%02x", &rgb[0], &rgb[1], &rgb[2]); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		c := float64(rgb[i]) / 255
		if c <= 0.04045 {
			sum += weight * c / 12.92
			continue
		}
		sum += weight * math.Pow((c+0.055)/1.055, 2.4)
	}
	return sum
}

func TestObserveIsCalledForEveryRequest(t *testing.T) {
	var told []string
	h := newHandler(t, httpapi.Options{Registry: prepared(t), Observe: func(pattern string, status int, _ time.Duration) {
		told = append(told, fmt.Sprint(pattern, " ", status))
	}})
	for _, target := range []string{"/", "/" + list + "/" + hash + "-3", "/a/b/c", "/api/v1/stats", "/static/icon.svg"} {
		do(h, "GET", target)
	}
	want := "[GET /{$} 200 GET /{list}/{token} 301  404 GET /api/v1/stats 401 GET /static/{file} 200]"
	if got := fmt.Sprint(told); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// A post that is pasted as its author sent it has no List-Id: To and Cc say
// which list it is for.
func TestAPastedPostNamesItsListByTo(t *testing.T) {
	h := newHandler(t, httpapi.Options{Registry: reserved(t, list, 1)})
	post := "Message-ID: <abc@example.org>\nDate: x\nTo: Devel <DEVEL@lists.example.org>\n"
	const link = "https://one.example/" + list + "/VP3JZR3MSKY5TQSMS5FHURHQXI"
	if got := text(do(h, "POST", "/check", form("message="+post)...)); !strings.Contains(got, link) {
		t.Errorf("the page shows no permalink:\n%s", got)
	}
	answer := do(h, "POST", "/api/v1/messages", "Content-Type: message/rfc822", "Body: "+post)
	if got := text(answer); !strings.Contains(got, link) {
		t.Errorf("the API: %d %s", answer.StatusCode, got)
	}
}
