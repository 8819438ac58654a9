package boltreg_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/boltreg"
)

// fileVariable names the registry file to the child process of a test.
const fileVariable = "BOLTREG_TEST_FILE"

func TestMain(m *testing.M) {
	if file := os.Getenv(fileVariable); file != "" {
		reserveForEver(file)
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0") // of the processes that check a file: a second each otherwise
	os.Exit(m.Run())
}

// reserveForEver prints each token that was acknowledged, until it is killed.
func reserveForEver(file string) {
	store, err := boltreg.Open(file)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	reg := registry.New(store, registry.Options{})
	var wg sync.WaitGroup
	for worker := range 16 {
		wg.Go(func() {
			for i := worker; ; i += 16 {
				hash, _ := hashheader.MD5.Hash(fmt.Append(nil, i))
				r, err := reg.Reserve(context.Background(), registry.Request{List: "a@b", Hash: hash})
				if err != nil {
					os.Exit(1)
				}
				fmt.Println(r.Token())
			}
		})
	}
	wg.Wait()
}

func TestKilledWriterLosesNothingAcknowledged(t *testing.T) {
	file := filepath.Join(t.TempDir(), "permalinks.db")
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), fileVariable+"="+file)
	out, err := child.StdoutPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	if _, err := lines.Peek(1); err != nil {
		t.Fatal(err)
	}
	if _, err := boltreg.Open(file); !errors.Is(err, boltreg.ErrInUse) || !strings.Contains(err.Error(), "stop it") {
		t.Errorf("a second process: %v", err)
	}
	// More than a pipe holds: the child must be writing when it is killed, not
	// waiting for a reader.
	var tokens []string
	for range 6000 {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, strings.TrimSpace(line))
	}
	child.Process.Kill()
	for {
		// A last line may be cut: its token was not told whole.
		line, err := lines.ReadString('\n')
		if err != nil {
			break
		}
		tokens = append(tokens, strings.TrimSpace(line))
	}
	child.Wait()
	store, err := boltreg.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	reg := registry.New(store, registry.Options{})
	defer reg.Close()
	for _, token := range tokens {
		if _, err := reg.Lookup(t.Context(), "a@b", token); err != nil {
			t.Error(err)
		}
	}
}

func TestClosingAnswersEveryUpdate(t *testing.T) {
	store, err := boltreg.Open(filepath.Join(t.TempDir(), "permalinks.db"))
	if err != nil {
		t.Fatal(err)
	}
	reg := registry.New(store, registry.Options{})
	var wg sync.WaitGroup
	for worker := range 32 {
		wg.Go(func() {
			for i := 0; ; i++ {
				hash, _ := hashheader.MD5.Hash(fmt.Append(nil, worker, i))
				if _, err := reg.Reserve(t.Context(), registry.Request{List: "a@b", Hash: hash}); err != nil {
					if !errors.Is(err, registry.ErrUnavailable) {
						t.Error(err)
					}
					return
				}
			}
		})
	}
	if err := reg.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
}
