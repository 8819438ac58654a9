package httpapi_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

const pasted = "Received: from mx.example.org\n\tby list.example.org; Mon, 23 Nov 2026 10:00:01 +0000\n" +
	"From: A Reader <reader@example.org>\nSubject: <script>alert(1)</script>\nMessage-ID:\n <" + firstID + ">\n" +
	"Message-ID-MD5: " + hash + "\nMessage-ID-Hash: GZLPKEL44H7JOP7YXWIPYND25DN4RJAO\nDate: Mon, 23 Nov 2026 10:00:00 +0000\n" +
	"List-Post: <mailto:" + list + ">\nArchived-At: <https://other.example/1>\n\nThe body stays here.\n"

// everyPage looks at all pages in a window of a width and a colour scheme.
func everyPage(width int64, scheme string) func(*testing.T, func(int64) *browser) {
	return func(t *testing.T, window func(int64) *browser) {
		b := window(width)
		send(t, b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
		name := fmt.Sprintf("%d-%s-", width, scheme)
		pages(t, b, name)
		resolver(t, b, name)
		aMailbox(t, b, name)
	}
}

func pages(t *testing.T, b *browser, name string) {
	b.open(t, "/")
	b.fits(t, name+"home")
	b.do(t, chromedp.SetValue("#message", pasted), chromedp.Click("#check-form button"), chromedp.WaitVisible("#checks"))
	b.shows(t, firstID, "1 of 4 checks found something wrong", "the hash is of another Message-ID", hash+"-3", "archived",
		"https://one.example/3", "of another archive")
	b.fits(t, name+"checked")
	b.open(t, "/")
	b.do(t, chromedp.SendKeys("#q", "<"+firstID+">\r"), chromedp.WaitVisible(".messages"))
	b.shows(t, "3 messages share this hash", "<b>Bold & brash</b>", "https://one.example/3")
	b.fits(t, name+"found")
	send(t, b, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{"Authorization": b.basic}})
	b.open(t, "/status")
	b.shows(t, "Collisions", "messages stamped", "1234567")
	b.fits(t, name+"status")
}

// What redirects and answers with an error status is heard on the console,
// too: the page is what counts.
func resolver(t *testing.T, b *browser, name string) {
	for _, page := range []struct {
		name, path string
		shows      []string
	}{
		{"choices", "/users@lists.example.org/" + strings.ToLower(hash), []string{"Several messages share this permalink", hash + "-2", "Subject not known"}},
		{"not-reserved", "/search?q=" + hash + "-9&list=" + list, []string{"Not reserved"}},
		{"problem", "/" + list + "/nothing", []string{"Not Found", "letter by letter"}},
	} {
		b.open(t, page.path)
		b.shows(t, page.shows...)
		b.heard()
		b.fits(t, name+page.name)
	}
}

func files(t *testing.T, window func(int64) *browser) {
	file := filepath.Join(t.TempDir(), "message.eml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(pasted, "\n", "\r\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, take := range map[string]func(t *testing.T, b *browser){
		"chosen": func(t *testing.T, b *browser) { b.do(t, chromedp.SetUploadFiles("#file", []string{file})) },
		"dropped": func(t *testing.T, b *browser) {
			data := &input.DragData{Items: []*input.DragDataItem{}, Files: []string{file}, DragOperationsMask: 1}
			for _, step := range []input.DispatchDragEventType{"dragEnter", "dragOver", "drop"} {
				send(t, b, input.DispatchDragEvent, input.DispatchDragEventParams{Type: step, X: 400, Y: 500, Data: data})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := window(1200)
			b.open(t, "/")
			take(t, b)
			b.do(t, chromedp.WaitVisible("#note"))
			b.shows(t, "The header section of message.eml was read. Nothing is sent until you press Check.")
			if value := ask(t, b, chromedp.Value("#message")); !strings.Contains(value, firstID) || strings.Contains(value, "body") {
				t.Errorf("the text is %q", value)
			}
			b.fits(t, "file-"+name)
			b.do(t, chromedp.Click("#check-form button"), chromedp.WaitVisible("#checks"))
			b.shows(t, "1 of 4 checks found something wrong", hash+"-3")
			b.fits(t, "file-"+name+"-checked")
		})
	}
}

// A mailbox of four messages, the last too long to be sent whole.
func aMailbox(t *testing.T, b *browser, name string) {
	file := filepath.Join(t.TempDir(), "list.mbox")
	long := "From b@example.org Tue Nov 24 11:00:00 2026\n" + pasted + strings.Repeat("text\n", 30_000) + "\n"
	if err := os.WriteFile(file, []byte(mailbox+long), 0o600); err != nil {
		t.Fatal(err)
	}
	b.open(t, "/")
	b.do(t, chromedp.SetUploadFiles("#file", []string{file}), chromedp.WaitVisible("#note"))
	b.shows(t, "The header sections of 4 messages in list.mbox were read.")
	b.fits(t, name+"mailbox-read")
	b.do(t, chromedp.Click("#check-form button"), chromedp.WaitVisible(".card"))
	b.do(t, chromedp.WaitVisible("h2"), chromedp.WaitNotPresent("#check-form"))
	b.shows(t, "4 checked messages", "日本語 <a@example.org>", "Grüße", hash+"-3")
	b.fits(t, name+"mailbox")
}

// The script finds the messages that the tool finds.
func everyMailbox(t *testing.T, window func(int64) *browser) {
	b := window(1200)
	for file, want := range mailboxFiles(t) {
		path := must(filepath.Abs(mailboxDir + file))
		b.open(t, "/")
		b.do(t, chromedp.SetUploadFiles("#file", []string{path}), chromedp.WaitVisible("#note"))
		read := fmt.Sprintf("The header sections of %d messages in %s were read.", want, file)
		if want < 2 {
			read = "The header section of " + file + " was read."
		}
		b.shows(t, read)
	}
}

// What is pasted whole is sent without its body.
func longPaste(t *testing.T, window func(int64) *browser) {
	b := window(1200)
	b.open(t, "/")
	b.do(t, chromedp.SetValue("#message", pasted+strings.Repeat("text\n", 30_000)), chromedp.Click("#check-form button"), chromedp.WaitVisible("#checks"))
	b.shows(t, "1 of 4 checks found something wrong", hash+"-3")
}

func withoutJavaScript(t *testing.T, window func(int64) *browser) {
	b := window(360)
	file := filepath.Join(t.TempDir(), "message.eml")
	if err := os.WriteFile(file, []byte(pasted), 0o600); err != nil {
		t.Fatal(err)
	}
	b.open(t, "/")
	send(t, b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.open(t, "/")
	b.do(t, chromedp.SetUploadFiles("#file", []string{file}), chromedp.SendKeys("#check-list", list), chromedp.Click("#check-form button"), chromedp.WaitReady("#checks"))
	b.shows(t, "1 of 4 checks found something wrong", hash+"-3")
	b.open(t, "/")
	b.do(t, chromedp.SendKeys("#q", hash), chromedp.SendKeys("#find-list", list+"\r"), chromedp.WaitReady(".messages"))
	b.shows(t, "3 messages share this hash")
}

// The other tests take a silent console for a policy that is kept: this shows
// that it is not silent when it is broken.
func policyHolds(t *testing.T, window func(int64) *browser) {
	b := window(1200)
	b.open(t, "/")
	for name, html := range map[string]string{
		"another site's picture": `<img src="https://other.example/x.png">`,
		"a style of its own":     `<p style="color: red">`,
		"a handler of its own":   `<img src="/static/none.svg" onerror="document.title='taken'">`,
	} {
		b.heard()
		ask(t, b, chromedp.Evaluate[bool]("document.body.insertAdjacentHTML('beforeend', `"+html+"`), true"))
		b.do(t, chromedp.Sleep(200*time.Millisecond))
		if lines := strings.Join(b.heard(), "\n"); !strings.Contains(lines, "Content Security Policy") {
			t.Errorf("%s: the console says %q", name, lines)
		}
	}
	if title := ask(t, b, chromedp.Title()); title != "Permalinks" {
		t.Errorf("the title is %q", title)
	}
}

func byKeyboard(t *testing.T, window func(int64) *browser) {
	b := window(1200)
	b.open(t, "/")
	var order []string
	for range 11 {
		b.do(t, chromedp.KeyEvent(kb.Tab))
		order = append(order, ask(t, b, chromedp.Evaluate[string](
			`(e => (e.id || e.textContent).trim() + (e.matches(":focus-visible") && getComputedStyle(e).outlineStyle == "solid" ? "" : " without a mark"))(document.activeElement)`)))
	}
	want := "Skip to the content, Permalinks, Check, Find, Status, message, file, check-list, Check, q, find-list"
	if got := strings.Join(order, ", "); got != want {
		t.Errorf("the keyboard leads to %s,\nwant %s", got, want)
	}
	b.do(t, chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Enter))
	if id := ask(t, b, chromedp.Evaluate[string]("document.activeElement.id")); id != "q" {
		t.Errorf("a search for nothing leads to %q, not to the field that is needed", id)
	}
}
