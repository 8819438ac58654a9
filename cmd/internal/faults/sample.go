package faults

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
)

// A Sample is what a process holds at a moment.
type Sample struct {
	// Memory is what it has for itself, in bytes (RssAnon of proc(5)); File is what is mapped of its files, which the
	// kernel takes back at will.
	Memory, File int64
	Goroutines   int64
	Descriptors  int64
}

// Take samples a daemon, whose metrics are at url.
func Take(ctx context.Context, pid int, url string) (s Sample, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return s, err
	}
	for line := range strings.Lines(string(status)) {
		f := strings.Fields(line)
		switch {
		case len(f) == 3 && f[0] == "RssAnon:":
			s.Memory, err = kilobytes(f[1])
		case len(f) == 3 && f[0] == "RssFile:":
			s.File, err = kilobytes(f[1])
		}
		if err != nil {
			return s, err
		}
	}
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return s, err
	}
	s.Descriptors = int64(len(open))
	s.Goroutines, err = metric(ctx, url, "go_goroutines")
	return s, err
}

func kilobytes(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	return n << 10, err
}

// metric reads one value without labels.
func metric(ctx context.Context, url, name string) (int64, error) {
	body, err := get(ctx, url)
	if err != nil {
		return 0, err
	}
	defer body.Close()
	for lines := bufio.NewScanner(body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			n, err := strconv.ParseFloat(value, 64)
			return int64(n), err
		}
	}
	return 0, fmt.Errorf("%s has no %s", url, name)
}

// get returns the body of a page.
func get(ctx context.Context, url string) (io.ReadCloser, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		answer.Body.Close()
		return nil, fmt.Errorf("%s: %s", url, answer.Status)
	}
	return answer.Body, nil
}
