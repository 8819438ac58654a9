package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"permalink-milter/cmd/permalink/examine"
	"permalink-milter/cmd/setup"
	"permalink-milter/config"
	"permalink-milter/registry"
	"permalink-milter/registry/boltreg"
	"permalink-milter/registry/httpapi"
	"permalink-milter/registry/redisreg"
)

// registryFlags name a registry: a store, or the API of a daemon that holds
// one.
type registryFlags struct{ url, api, tokenFile string }

func (f *registryFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.url, "registry", "", "the registry's `URL`: bolt:FILE, redis://HOST and the other forms of registry.url")
	cmd.Flags().StringVar(&f.api, "api", "", "ask the registry through permalink-milter's HTTP API at this `URL`")
	cmd.Flags().StringVar(&f.tokenFile, "token-file", "", "the `FILE` with the API's token")
	cmd.MarkFlagsMutuallyExclusive("registry", "api")
}

func (f registryFlags) named() bool { return f.url != "" || f.api != "" }

// open returns the registry that the flags name.
func (f registryFlags) open(c *config.Config, create bool) (registry.Registry, error) {
	if f.api != "" {
		return f.client()
	}
	return openRegistry(f.url, c.Registry, create)
}

// openOr returns the registry that the flags name, else the one of the
// configuration in file: through the daemon where that holds it.
func (f registryFlags) openOr(file string, create bool) (registry.Registry, *config.Config, error) {
	c, err := archiveFlags{file: file}.config()
	switch {
	case err != nil:
		return nil, nil, err
	case !f.named() && file == "":
		return nil, nil, errors.New("name the registry: --registry bolt:FILE, --api URL or --config FILE")
	case f.named():
		reg, err := f.open(c, create)
		return reg, c, err
	}
	f.url = inStateDir(c.Registry.URL, c.StateDir)
	reg, err := f.open(c, create)
	if door := ownAPI(c); errors.Is(err, boltreg.ErrInUse) && door != "" {
		f.api = door
		reg, err = f.client()
	}
	return reg, c, err
}

// ownAPI returns where the daemon of a configuration serves its API on this
// host, "" where it does not: it answers for the file that it holds.
func ownAPI(c *config.Config) string {
	scheme, address := c.HTTP.Listen.Split()
	switch {
	case c.HTTP.Listen == "":
		return ""
	case c.HTTP.BaseURL != "":
		return c.HTTP.BaseURL
	case c.HTTP.TLSCert != "" || scheme != "inet" && scheme != "inet6":
		return ""
	}
	return "http://" + address
}

// answerTimeout is how long a registry may take to answer, and an API to begin
// a listing.
const answerTimeout = 30 * time.Second

// reserveWithin reserves with a deadline.
func reserveWithin(ctx context.Context, reg registry.Registry, r registry.Request) (registry.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	return reg.Reserve(ctx, r)
}

// client returns the registry behind an API. A token is sent in clear to this
// host alone.
func (f registryFlags) client() (registry.Registry, error) {
	u, err := url.Parse(f.api)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return nil, fmt.Errorf("--api %q: write the base_url of permalink-milter, as https://permalink.example.org", f.api)
	}
	token, err := f.token()
	if err != nil {
		return nil, err
	}
	if ip, err := netip.ParseAddr(u.Hostname()); token != "" && u.Scheme == "http" && u.Hostname() != "localhost" && (err != nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("--api %s: the token would be sent in clear: write https", f.api)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = answerTimeout
	transport.MaxIdleConnsPerHost = examine.Workers
	return &httpapi.Client{Base: f.api, Token: token, HTTP: &http.Client{Transport: transport}}, nil
}

func (f registryFlags) token() (string, error) {
	if f.tokenFile == "" {
		return "", nil
	}
	data, err := os.ReadFile(f.tokenFile)
	if err != nil {
		return "", &exitError{exitConfig, fmt.Errorf("--token-file: %w", err)}
	}
	return strings.TrimSpace(string(data)), nil
}

// inStateDir completes the URL of a file that is named as from there.
func inStateDir(url, dir string) string {
	if file, ok := strings.CutPrefix(url, "bolt:"); ok && file != "" && !filepath.IsAbs(file) {
		return "bolt:" + filepath.Join(dir, file)
	}
	return url
}

// openRegistry opens the registry that a URL names.
func openRegistry(url string, c config.Registry, create bool) (registry.Registry, error) {
	store, err := openStore(url, c, create)
	if err != nil {
		return nil, err
	}
	return registry.New(store, registry.Options{TTL: time.Duration(c.ReservationTTL)}), nil
}

// quietRedis keeps the client library from printing what the errors tell too.
var quietRedis = sync.OnceFunc(func() { redisreg.LogTo(slog.New(slog.DiscardHandler)) })

// openStore opens the store that a URL names; of the configuration it takes
// how to log in to it. A file that is not there is made only where create
// says so.
func openStore(url string, c config.Registry, create bool) (registry.Store, error) {
	scheme, file, _ := strings.Cut(url, ":")
	family, _, _ := strings.Cut(scheme, "+")
	switch {
	case scheme == "bolt" && file != "":
		return openFile(file, create)
	case !slices.Contains([]string{"redis", "rediss", "unix"}, family):
		return nil, fmt.Errorf("--registry %q: write bolt:FILE, or a URL of Redis as in registry.url", config.MaskURL(url))
	}
	quietRedis()
	store, err := setup.Redis(url, c, answerTimeout)
	if err != nil {
		return nil, &exitError{exitConfig, err}
	}
	return store, nil
}

func openFile(file string, create bool) (registry.Store, error) {
	if _, err := os.Stat(file); err != nil && !create {
		return nil, &exitError{exitFailed, fmt.Errorf("--registry bolt:%s: %w", file, err)}
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return nil, &exitError{exitFailed, err}
	}
	store, err := boltreg.Open(file)
	switch {
	case errors.Is(err, boltreg.ErrInUse):
		return nil, &exitError{exitTemporary, err}
	case err != nil:
		return nil, &exitError{exitFailed, fmt.Errorf("%w; 'permalink registry check' tells what is wrong with it", err)}
	}
	return store, nil
}
