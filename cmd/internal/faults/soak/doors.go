package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"permalink-milter/hashheader"
	"permalink-milter/milter/miltertest"
	"permalink-milter/registry/lmtp"
)

// How often each door is used beside the load.
const (
	oddEvery    = 50 * time.Millisecond
	readEvery   = 20 * time.Millisecond
	archiveWait = 100 * time.Millisecond
	reloadEvery = 3 * time.Second
)

// oddMail plays all scripts of odd sessions, one after another, and checks the replies by the model.
func (s *soak) oddMail(ctx context.Context) error {
	files, err := filepath.Glob("milter/miltertest/testdata/cases/*.txt")
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no scripts: start this in the top folder: %w", err)
	}
	for i := 0; wait(ctx, oddEvery); i++ {
		if err := s.odd(ctx, files[i%len(files)]); err != nil && ctx.Err() == nil {
			return fmt.Errorf("%s: %w", files[i%len(files)], err)
		}
	}
	return nil
}

func (s *soak) odd(ctx context.Context, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	script, err := miltertest.Parse(string(text))
	if err != nil {
		return err
	}
	conn, err := net.Dial("unix", s.load.Addr)
	if err != nil {
		return err
	}
	replies, err := miltertest.Play(ctx, conn, script.Stream(), 0)
	if err != nil {
		return err
	}
	return miltertest.Check(script.Stream(), replies, 2000, 1<<20)
}

// readers look at the page and resolve what the load has reserved.
func (s *soak) readers(ctx context.Context) error {
	paths := []string{"", "healthz", "nowhere"}
	for i := 0; wait(ctx, readEvery); i++ {
		hash, err := hashheader.MD5.Hash(fmt.Appendf(nil, "%d@load.example.org", max(1, s.load.Counts().Sent/2)))
		if err != nil {
			return err
		}
		if err := read(ctx, s.page+append(paths, hash)[i%(len(paths)+1)]); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// read takes any answer but one of trouble.
func read(ctx context.Context, url string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode >= 500 || answer.StatusCode == http.StatusTooManyRequests {
		return fmt.Errorf("%s: %s", url, answer.Status)
	}
	return nil
}

// archivers hand messages over by LMTP, every third one twice.
func (s *soak) archivers(ctx context.Context) error {
	request := lmtp.Request{Server: "unix:" + filepath.Join(s.dir, "lmtp"), Domain: "archive.example.org", Algorithm: hashheader.MD5, Hostname: "mx.example.org"}
	for i := 0; wait(ctx, archiveWait); i++ {
		text := fmt.Sprintf("From: a@example.org\nDate: Tue, 24 Nov 2026 11:00:00 +0000\nMessage-ID: <%d@archive.example.org>\n\nhello\n", i-i%3/2)
		if _, err := lmtp.Deliver(ctx, request, strings.NewReader(text)); err != nil && ctx.Err() == nil && !errors.Is(err, lmtp.ErrTemporary) {
			return err
		}
	}
	return nil
}

// reloads alternates a good configuration and a bad one.
func (s *soak) reloads(ctx context.Context) error {
	good, err := os.ReadFile(filepath.Join(s.dir, "permalink-milter.toml"))
	if err != nil {
		return err
	}
	for i := 0; wait(ctx, reloadEvery); i++ {
		text := string(good)
		if i%2 == 0 {
			text += "nonsense = 1\n"
		}
		if err := errors.Join(s.daemon.WriteConfig(text), s.daemon.Reload()); err != nil {
			return err
		}
	}
	return nil
}
