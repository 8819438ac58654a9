package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"permalink-milter/cmd/permalink/backfill"
	"permalink-milter/config"
	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/httpapi"
	"permalink-milter/registry/stamp"
)

// configured is the value of --registry for the registry of --config.
const configured = "config"

const registryUsage = "the registry's `URL`: bolt:FILE, redis://HOST and the other forms of registry.url, or the word config for that of --config"

// registryFlags name a registry: a store, or the API of a daemon.
type registryFlags struct{ url, api, tokenFile string }

func (f *registryFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.url, "registry", "", registryUsage)
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
	s, err := locate(f.url, c)
	if err != nil {
		return nil, err
	}
	return s.open(create)
}

// openOr returns the registry that the flags name, or else that of the
// configuration in file.
func (f registryFlags) openOr(file string, create bool) (registry.Registry, *config.Config, error) {
	if !f.named() && file == "" {
		return nil, nil, errors.New("name the registry: --registry bolt:FILE, --api URL or --config FILE; no configuration is installed")
	}
	if !f.named() {
		f.url = configured
	}
	c, err := loadConfig(file)
	if err != nil {
		return nil, nil, err
	}
	reg, err := f.open(c, create)
	return reg, c, err
}

// answerTimeout bounds the wait for an answer of a registry, and for the start of
// a listing of an API.
const answerTimeout = 30 * time.Second

// bareHash gives the permalink that needs no registry: the one that an empty
// registry would offer.
func bareHash(r registry.Request) (registry.Result, error) { return registry.Offer(nil, r) }

// reserveIn reserves in a registry.
func reserveIn(ctx context.Context, reg registry.Registry) stamp.Reserve {
	return func(r registry.Request) (registry.Result, error) {
		ctx, cancel := context.WithTimeout(ctx, answerTimeout)
		defer cancel()
		return reg.Reserve(ctx, r)
	}
}

// offerOf asks what a registry would answer, and reserves nothing.
func offerOf(ctx context.Context, reg registry.Registry) stamp.Reserve {
	return func(r registry.Request) (registry.Result, error) {
		ctx, cancel := context.WithTimeout(ctx, answerTimeout)
		defer cancel()
		return registry.Peek(ctx, reg, r)
	}
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
	return &httpapi.Client{Base: f.api, Token: token, HTTP: &http.Client{Transport: newTransport()}}, nil
}

func newTransport() *http.Transport {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = answerTimeout
	transport.MaxIdleConnsPerHost = backfill.Workers
	return transport
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
