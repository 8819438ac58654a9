package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"permalink-milter/registry"
	"permalink-milter/registry/boltreg"
)

const (
	permalinks    = 100_000
	resolverConns = 50
	resolverList  = "devel@lists.example.org"
)

const resolverConfig = `[http]
listen = %q
base_url = "https://permalink.example.org"
rate = 1_000_000_000
`

// A webServer is a program that redirects.
type webServer struct {
	name, addr string
	pid        int
	stop       func()
}

// resolver measures how many redirects a second archived permalinks get over
// connections that are kept, and the CPU time that the server takes for each,
// its registry's not counted.
func (b *bench) resolver() table {
	t := table{title: fmt.Sprintf("Redirects a second, %d kept connections, %d permalinks", resolverConns, permalinks),
		head: []string{"server", "median", "min", "max", "beside net/http", "CPU a redirect, µs", "beside net/http"}}
	redis := b.redisServer()
	defer redis.Stop()
	g, end := redisRegistry(redis)
	archive(g, redisClients)
	end()
	servers := []webServer{b.bareHandler(), b.resolverOn("permalink-milter, bolt", b.archivedBolt()), b.resolverOn("permalink-milter, Redis", "redis://"+redis.Addr())}
	rates, cpus := make([][]float64, len(servers)), make([][]float64, len(servers))
	count, requests := 10*b.messages(), requests()
	for range b.rounds() {
		for i, s := range servers {
			before, begin := processTime(s.pid), time.Now()
			s.redirects(count, requests)
			took := time.Since(begin)
			rates[i] = append(rates[i], float64(count)/took.Seconds())
			cpus[i] = append(cpus[i], float64((processTime(s.pid)-before).Nanoseconds())/1000/float64(count))
		}
	}
	for i, s := range servers {
		s.stop()
		low, middle, high := spread(rates[i])
		t.add(s.name, middle, low, high, number(beside(rates[i], rates[0])), number(median(cpus[i])), number(beside(cpus[i], cpus[0])))
	}
	return t
}

// archivedBolt returns the URL of a file with the permalinks.
func (b *bench) archivedBolt() string {
	file := b.file("resolver")
	store, err := boltreg.Open(file)
	must(err)
	g := registry.New(store, registry.Options{})
	defer g.Close()
	archive(g, 1024)
	return "bolt:" + file
}

// archive reserves and confirms the permalinks.
func archive(g registry.Registry, workers int) {
	rate(workers, permalinks, func(i int) {
		reserve(g, i)
		_, err := g.Confirm(context.Background(), registry.Confirmation{List: resolverList, Token: hashOf(i), URL: archivedURL(i)})
		must(err)
	})
}

func archivedURL(i int) string { return "https://a.example/" + resolverList + "/" + hashOf(i) }

func permalinkPath(i int) string { return "/" + resolverList + "/" + hashOf(i) }

// requests returns a request for each permalink, as from a proxy on this host
// with ten clients. The next permalink lies far from the last one.
func requests() (out [][]byte) {
	for i := range permalinks {
		out = append(out, fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: permalink.example.org\r\nX-Forwarded-For: 192.0.2.%d\r\n\r\n",
			permalinkPath(i*7919%permalinks), i%10))
	}
	return out
}

// resolverOn starts the daemon on a registry that holds the permalinks.
func (b *bench) resolverOn(name, registry string) webServer {
	addr := freeAddr()
	r := b.daemon(name, registry, archiveConfig+fmt.Sprintf(resolverConfig, addr)).start()
	return webServer{name, addr, r.cmd.Process.Pid, func() { r.stop() }}
}

// bareHandler starts a net/http handler with a map of the same permalinks.
func (b *bench) bareHandler() webServer {
	addr := freeAddr()
	var lines bytes.Buffer
	for i := range permalinks {
		fmt.Fprintf(&lines, "%s %s\n", permalinkPath(i), archivedURL(i))
	}
	cmd := exec.CommandContext(b.ctx, filepath.Join(b.dir, "redirect"), addr)
	cmd.Stdin, cmd.Stderr = &lines, os.Stderr
	must(startWithSlack(cmd))
	return webServer{"net/http and a map", addr, cmd.Process.Pid, func() {
		cmd.Process.Kill()
		cmd.Wait()
	}}
}

// freeAddr returns an address at which nobody listens.
func freeAddr() string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	defer ln.Close()
	return ln.Addr().String()
}

// processTime returns the CPU time that a process has taken.
func processTime(pid int) time.Duration {
	const schedClock = 2 // CPUCLOCK_SCHED, of clock_getcpuclockid(3)
	var t unix.Timespec
	must(unix.ClockGettime(int32(^pid<<3|schedClock), &t))
	return time.Duration(t.Nano())
}

// A webClient is one connection with a request in progress.
type webClient struct {
	fd     int
	answer []byte
}

// redirects asks for so many permalinks, each by the next request, over the connections. One thread with
// epoll serves them all, so that the client takes little of the processors.
func (s webServer) redirects(count int, requests [][]byte) {
	poll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	must(err)
	defer unix.Close(poll)
	clients := make(map[int32]*webClient)
	for n := range resolverConns {
		c := s.dial()
		defer unix.Close(c.fd)
		clients[int32(c.fd)] = c
		must(unix.EpollCtl(poll, unix.EPOLL_CTL_ADD, c.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(c.fd)}))
		c.ask(requests[n])
	}
	events := make([]unix.EpollEvent, resolverConns)
	for sent, got := resolverConns, 0; got < count; {
		n, err := unix.EpollWait(poll, events, 30_000)
		if err != unix.EINTR {
			must(err)
		}
		if n == 0 {
			fail("%s does not answer", s.name)
		}
		for _, e := range events[:max(n, 0)] {
			c := clients[e.Fd]
			if !c.read(s.name) {
				continue
			}
			got++
			if sent < count {
				c.ask(requests[sent%len(requests)])
				sent++
			}
		}
	}
}

// dial connects, as soon as the server listens.
func (s webServer) dial() *webClient {
	addr, err := net.ResolveTCPAddr("tcp4", s.addr)
	must(err)
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		must(err)
		must(unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1))
		if err = unix.Connect(fd, &unix.SockaddrInet4{Port: addr.Port, Addr: [4]byte(addr.IP.To4())}); err == nil {
			return &webClient{fd: fd, answer: make([]byte, 0, 4096)}
		}
		unix.Close(fd)
		if time.Since(begin) > 30*time.Second {
			fail("%s: %v", s.name, err)
		}
	}
}

func (c *webClient) ask(request []byte) {
	_, err := unix.Write(c.fd, request)
	must(err)
	c.answer = c.answer[:0]
}

// read reports whether the answer is whole. It must be a redirect.
func (c *webClient) read(name string) bool {
	n, err := unix.Read(c.fd, c.answer[len(c.answer):cap(c.answer)])
	must(err)
	c.answer = c.answer[:len(c.answer)+n]
	head, body, ok := bytes.Cut(c.answer, []byte("\r\n\r\n"))
	_, rest, _ := bytes.Cut(head, []byte("\r\nContent-Length: "))
	digits, _, _ := bytes.Cut(rest, []byte("\r\n"))
	length, err := strconv.Atoi(string(digits))
	if n == 0 || ok && (err != nil || !bytes.HasPrefix(head, []byte("HTTP/1.1 301 "))) {
		fail("%s answers %q", name, c.answer)
	}
	return ok && len(body) >= length
}
