package main

import (
	"net"
	"net/netip"

	"permalink-milter/config"
	"permalink-milter/registry/httpapi"
	"permalink-milter/registry/stamp"
)

// openHTTP opens the service for archivers and people: API, resolver and page.
func openHTTP(d *daemon, policy *stamp.Policy) (service, error) {
	c := d.config.HTTP
	if c.Listen == "" {
		return service{}, nil
	}
	handler, err := d.newHandler(policy)
	if err != nil {
		return service{}, err
	}
	server := httpapi.NewServer(handler, d.log)
	shown := new(certificate)
	serve := server.Serve
	if c.TLSCert != "" {
		if err := shown.load(c.TLSCert, c.TLSKey); err != nil {
			return service{}, err
		}
		server.TLSConfig = shown.config()
		serve = func(ln net.Listener) error { return server.ServeTLS(ln, "", "") }
	}
	listeners, err := d.listen("http", c.MaxConnections, closeIdle(server), c.Listen)
	reload := func(next *config.Config, p *stamp.Policy) {
		handler.SetPolicy(p)
		if c.TLSCert != "" && next.HTTP.TLSCert != "" {
			if err := shown.load(next.HTTP.TLSCert, next.HTTP.TLSKey); err != nil {
				d.log.Error("certificate not reloaded, the old one stays in force", "error", err)
			}
		}
		tokens, err := loadTokens(next.HTTP.TokensFile)
		if err != nil {
			d.log.Error("tokens not reloaded, the old ones stay in force", "error", err)
			return
		}
		handler.SetTokens(tokens)
	}
	return service{"http", listeners, serve, httpShutdown(server), reload}, err
}

func (d *daemon) newHandler(policy *stamp.Policy) (*httpapi.Handler, error) {
	c := d.config.HTTP
	tokens, err := loadTokens(c.TokensFile)
	if err != nil {
		return nil, err
	}
	proxies, err := prefixes(c.TrustedProxies)
	if err != nil {
		return nil, err
	}
	return httpapi.New(httpapi.Options{Registry: d.registry, Policy: policy, Tokens: tokens, BaseURL: c.BaseURL,
		Log: d.log, MaxBody: int64(c.MaxBody), Rate: float64(c.Rate), TrustedProxies: proxies,
		Counters: d.metrics.counters, Observe: d.metrics.observeHTTP()})
}

// loadTokens reads the tokens file. Without one, nobody may use the API.
func loadTokens(file string) (*httpapi.Tokens, error) {
	if file == "" {
		return nil, nil
	}
	return httpapi.LoadTokens(file)
}

// prefixes returns the networks of a checked configuration, nil for none.
func prefixes(networks []config.Network) (out []netip.Prefix, err error) {
	for _, n := range networks {
		p, err := n.Prefix()
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}
