package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"permalink-milter/cmd/internal/setup"
	"permalink-milter/cmd/permalink/examine"
	"permalink-milter/config"
	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/boltreg"
	"permalink-milter/registry/httpapi"
	"permalink-milter/registry/redisreg"
)

// registryFlags name a registry: a store, or the API of a daemon.
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

// openOr returns the registry that the flags name, or else that of the
// configuration in file, through the daemon if that holds it.
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
	f.url = config.InStateDir(c.Registry.URL, c.StateDir)
	reg, err := f.open(c, create)
	if door := ownAPI(c); errors.Is(err, boltreg.ErrInUse) && door != "" {
		f.api = door
		reg, err = f.client()
	}
	return reg, c, err
}

// ownAPI returns the URL of the API of a configuration's daemon on this host, ""
// if there is none. The daemon answers for the file that it holds.
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

// answerTimeout bounds an answer of a registry, and the begin of a listing of an
// API.
const answerTimeout = 30 * time.Second

// reserveWithin reserves with a deadline.
func reserveWithin(ctx context.Context, reg registry.Registry, r registry.Request) (registry.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	return reg.Reserve(ctx, r)
}

// client returns the registry behind an API. It refuses to send a token
// unencrypted to another host.
func (f registryFlags) client() (registry.Registry, error) {
	u, err := url.Parse(f.api)
	if err != nil || !hashheader.IsWeb(u) {
		return nil, fmt.Errorf("--api %q: write the base_url of permalink-milter, as https://permalink.example.org", f.api)
	}
	token, err := f.token()
	if err != nil {
		return nil, err
	}
	if ip, err := netip.ParseAddr(u.Hostname()); token != "" && u.Scheme == "http" && u.Hostname() != "localhost" && (err != nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("--api %s: the token would be sent unencrypted: write https", f.api)
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

// openRegistry opens the registry that a URL names.
func openRegistry(url string, c config.Registry, create bool) (registry.Registry, error) {
	store, err := openStore(url, c, create)
	if err != nil {
		return nil, err
	}
	return registry.New(store, registry.Options{TTL: time.Duration(c.ReservationTTL)}), nil
}

// quietRedis keeps the client library from printing what the errors say, too.
var quietRedis = sync.OnceFunc(func() { redisreg.LogTo(slog.New(slog.DiscardHandler)) })

// openStore opens the store that a URL names. The configuration says how to log
// in to it. A file that does not exist is created only if create is set.
func openStore(url string, c config.Registry, create bool) (registry.Store, error) {
	kind, err := config.StoreKind(url)
	if err != nil || kind == config.Memory {
		return nil, fmt.Errorf("--registry %q: write bolt:FILE, or a URL of Redis as in registry.url", config.MaskURL(url))
	}
	quietRedis()
	store, err := setup.OpenStore(url, c, answerTimeout, create)
	switch {
	case err == nil:
		return store, nil
	case errors.Is(err, boltreg.ErrInUse):
		return nil, &exitError{exitTemporary, err}
	case kind == config.Redis:
		return nil, &exitError{exitConfig, err}
	case errors.Is(err, fs.ErrNotExist):
		return nil, &exitError{exitFailed, fmt.Errorf("--registry %w", err)}
	}
	return nil, &exitError{exitFailed, fmt.Errorf("%w; 'permalink registry check' reports what is wrong with it", err)}
}
