package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"permalink-milter/registry/httpapi"
)

const httpConfig = `[http]
listen = "127.0.0.1:%d"
tokens_file = %q
`

// What strangers do at once.
const (
	posters    = 100
	posted     = 1 << 20 // bytes of each message, about
	unfinished = 1000
	addresses  = 6 // in X-Forwarded-For, over which the unfinished ones are spread
	// A stranger pauses before it tries again: this machine plays them all.
	strangerPause = time.Second
)

// strangers measures what mail and an archiver with a token feel of strangers
// at [http], who share this machine, and what memory they cost.
func (b *bench) strangers() table {
	t := table{title: "Strangers at [http]", head: []string{"attack", "mail p50, µs", "p99, µs", "longest, µs", "token: 200", "token: other", "longest, ms", "most memory, MB"}}
	attacks := []struct {
		name              string
		posts, unfinished int
	}{
		{"none", 0, 0},
		{fmt.Sprintf("%d clients post 1 MB, again and again", posters), posters, 0},
		{fmt.Sprintf("%d bodies that do not come", unfinished), 0, unfinished},
		{"both", posters, unfinished},
	}
	for _, a := range attacks {
		s := b.startWebSite()
		ctx, stop := context.WithCancel(b.ctx)
		var attackers sync.WaitGroup
		for range a.posts {
			attackers.Go(func() { s.repeat(ctx, s.post) })
		}
		for n := range a.unfinished {
			attackers.Go(func() { s.repeat(ctx, func(ctx context.Context, c net.Conn) { s.begin(ctx, c, n%addresses) }) })
		}
		time.Sleep(2 * time.Second) // until all of them are there
		mail, archiver, memory := s.measure(b.messages() / 4)
		stop()
		attackers.Wait()
		s.stop()
		t.add(a.name, micros(quantile(mail, 0.5)), micros(quantile(mail, 0.99)), micros(quantile(mail, 1)),
			fmt.Sprint(archiver.good), fmt.Sprint(archiver.bad), number(float64(archiver.longest.Microseconds())/1000), number(memory))
	}
	return t
}

// A webSite is a daemon with [http].
type webSite struct {
	*running
	addr, token string
}

func (b *bench) startWebSite() *webSite {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	ln.Close()
	s := &webSite{addr: ln.Addr().String()}
	token, sum := httpapi.NewToken()
	s.token = token
	file := filepath.Join(b.dir, "tokens.toml")
	must(os.WriteFile(file, fmt.Appendf(nil, "[[token]]\nname = \"a\"\nsha256 = %q\nscopes = [\"read\"]\nlists = [\"*\"]\n", sum), 0o600))
	s.running = b.daemon("permalink-milter", "memory:", archiveConfig+fmt.Sprintf(httpConfig, ln.Addr().(*net.TCPAddr).Port, file)).start()
	return s
}

// repeat connects and attacks until ctx ends.
func (s *webSite) repeat(ctx context.Context, attack func(context.Context, net.Conn)) {
	for ctx.Err() == nil {
		c, err := net.DialTimeout("tcp", s.addr, time.Second)
		if err != nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		cut := context.AfterFunc(ctx, func() { c.Close() })
		attack(ctx, c)
		cut()
		c.Close()
		time.Sleep(strangerPause)
	}
}

func (s *webSite) post(_ context.Context, c net.Conn) {
	fmt.Fprintf(c, "POST /api/v1/messages HTTP/1.1\r\nHost: x\r\nContent-Type: message/rfc822\r\nContent-Length: %d\r\n\r\nMessage-ID: <a@b>\r\n", posted)
	go io.WriteString(c, filler)
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err == nil {
		answer.Body.Close()
	}
}

// filler is what a message's header is made of.
var filler = strings.Repeat("X", posted)

// begin sends the beginning of a message, and waits until the server gives up.
func (s *webSite) begin(_ context.Context, c net.Conn, address int) {
	fmt.Fprintf(c, "POST /api/v1/messages HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.%d\r\nContent-Type: message/rfc822\r\nContent-Length: 60000\r\n\r\nMessage-ID: <a@b>\r\n", address)
	io.Copy(io.Discard, c)
}

// answers are those that an archiver got.
type answers struct {
	good, bad int
	longest   time.Duration
}

// measure sends mail over one connection while an archiver asks with its token.
func (s *webSite) measure(messages int) (mail []time.Duration, archiver answers, memory float64) {
	ctx, stop := context.WithCancel(context.Background())
	var beside sync.WaitGroup
	beside.Go(func() { archiver = s.ask(ctx) })
	beside.Go(func() {
		for ctx.Err() == nil {
			all, _ := s.memory()
			memory = max(memory, all)
			time.Sleep(20 * time.Millisecond)
		}
	})
	session, err := open(s.socket)
	must(err)
	for n := range messages {
		_, took, err := session.message(steps(20, fmt.Sprintf("%d@mail.example.org", n)))
		must(err)
		mail = append(mail, took)
		time.Sleep(time.Millisecond)
	}
	session.close()
	stop()
	beside.Wait()
	return mail, archiver, memory
}

// ask asks with the token until ctx ends, each time on a connection of its own.
func (s *webSite) ask(ctx context.Context) (a answers) {
	client := http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for ctx.Err() == nil {
		r, err := http.NewRequest(http.MethodGet, "http://"+s.addr+"/api/v1/hashes/devel@lists.example.org/"+hashOf(1), nil)
		must(err)
		r.Header.Set("Authorization", "Bearer "+s.token)
		begin := time.Now()
		answer, err := client.Do(r)
		a.longest = max(a.longest, time.Since(begin))
		if err == nil && answer.StatusCode == http.StatusOK {
			a.good++
		} else {
			a.bad++
		}
		if err == nil {
			answer.Body.Close()
		}
		time.Sleep(10 * time.Millisecond)
	}
	return a
}
