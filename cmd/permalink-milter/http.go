package main

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"

	"permalink-milter/config"
	"permalink-milter/registry/httpapi"
	"permalink-milter/registry/stamp"
)

// openHTTP opens the door for archivers and people: API, resolver and page.
func openHTTP(d *daemon, policy *stamp.Policy) (service, error) {
	c := d.config.HTTP
	listeners, err := d.sockets.open("http.listen", c.Listen)
	if err != nil || len(listeners) == 0 {
		return service{}, err
	}
	tokens, err := d.loadTokens(c.TokensFile)
	if err != nil {
		return service{}, err
	}
	proxies, err := parseProxies(c.TrustedProxies)
	if err != nil {
		return service{}, err // load has checked them
	}
	handler, err := httpapi.New(httpapi.Options{Registry: d.registry, Policy: policy, Tokens: tokens, BaseURL: c.BaseURL,
		Log: d.log, MaxBody: int64(c.MaxBody), Rate: float64(c.Rate), TrustedProxies: proxies,
		Counters: d.metrics.counters, Observe: d.metrics.observeHTTP()})
	if err != nil {
		return service{}, err
	}
	server := httpapi.NewServer(handler, d.log)
	serve := server.Serve
	if c.TLSCert != "" {
		serve = func(ln net.Listener) error { return server.ServeTLS(ln, d.beside(c.TLSCert), d.beside(c.TLSKey)) }
	}
	reload := func(next *config.Config, p *stamp.Policy) {
		handler.SetPolicy(p)
		tokens, err := d.loadTokens(next.HTTP.TokensFile)
		if err != nil {
			d.log.Error("tokens not reloaded, the old ones stay in force", "error", err)
			return
		}
		handler.SetTokens(tokens)
	}
	return service{"http", listeners, serve, httpShutdown(server), reload}, nil
}

// loadTokens reads the tokens file; no file means that nobody may use the API.
func (d *daemon) loadTokens(file string) (*httpapi.Tokens, error) {
	if file == "" {
		return nil, nil
	}
	return httpapi.LoadTokens(d.beside(file))
}

// beside returns the path of a file that the configuration names: a relative
// one is in the configuration file's folder.
func (d *daemon) beside(file string) string {
	if filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(filepath.Dir(d.file), file)
}

// parseProxies returns nil, which means the default, for no proxies.
func parseProxies(texts []string) (proxies []netip.Prefix, err error) {
	for _, text := range texts {
		p, err := parseProxy(text)
		if err != nil {
			return nil, err
		}
		proxies = append(proxies, p)
	}
	return proxies, nil
}

// parseProxy reads an address or a prefix.
func parseProxy(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return addr.Prefix(addr.BitLen())
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, fmt.Errorf("%.80q: write an address or a network, as 192.0.2.0/24", text)
	}
	return p, nil
}

func checkProxy(text string) error {
	_, err := parseProxy(text)
	return err
}
