package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"permalink-milter/registry/httpapi"
)

// ask makes a request with a bearer token and returns the response.
func ask(t *testing.T, method, url, token, body string) (code int, location, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("Location"), string(data)
}

func TestStampedMessageIsResolvedAndConfirmedOverHTTP(t *testing.T) {
	addr := "127.0.0.1:" + freePort(t)
	token, sum := httpapi.NewToken()
	grants := "[[token]]\nname = \"hk\"\nsha256 = \"" + sum + "\"\nscopes = [%s]\nlists = [\"*@lists.example.org\"]\n"
	config := "[http]\nlisten = \"" + addr + "\"\ntokens_file = \"%s\"\n" + archive("one.example") + "target = \"https://two.example/{token}\"\n"
	tokens := filepath.Join(t.TempDir(), "tokens.toml")
	write(t, tokens, fmt.Sprintf(grants, `"read", "confirm"`))
	p := start(t, fmt.Sprintf(config, tokens))
	connect(t, "unix", p.socket()).begin(messageID, listID).end()

	link := "http://" + addr + "/devel@lists.example.org/" + md5Hash
	if code, location, _ := ask(t, "GET", link, "", ""); code != http.StatusFound || location != "https://two.example/"+md5Hash {
		t.Errorf("reserved: %d to %s", code, location)
	}
	confirm := "http://" + addr + "/api/v1/reservations/devel@lists.example.org/" + md5Hash + "/archived"
	body := `{"url": "https://archive.example/1"}`
	if code, _, text := ask(t, "PUT", confirm, "wrong", body); code != http.StatusUnauthorized {
		t.Errorf("a wrong token: %d %s", code, text)
	}
	if code, _, text := ask(t, "PUT", confirm, token, body); code != http.StatusOK {
		t.Errorf("confirm: %d %s", code, text)
	}
	if code, location, _ := ask(t, "GET", link, "", ""); code != http.StatusMovedPermanently || location != "https://archive.example/1" {
		t.Errorf("archived: %d to %s", code, location)
	}

	write(t, tokens, fmt.Sprintf(grants, `"read"`))
	p.signal(t, syscall.SIGHUP)
	p.log.wait(t, "configuration reloaded")
	if code, _, text := ask(t, "PUT", confirm, token, body); code != http.StatusForbidden {
		t.Errorf("a scope that was taken away: %d %s", code, text)
	}
	write(t, tokens, "[[token]]\n")
	p.signal(t, syscall.SIGHUP)
	p.log.wait(t, "tokens not reloaded")
	p.stop(t)
}

func TestStatusPageShowsTheDaemonsCounters(t *testing.T) {
	m := newMetrics()
	m.Message("stamped", 0)
	got := make(map[string]int64)
	for _, c := range m.counters() {
		got[c.Name] = c.Value
	}
	if got["messages total stamped"] != 1 || len(got) < 10 {
		t.Errorf("counters: %v", got)
	}
}

func TestHTTPServesTLSWithTheConfiguredCertificate(t *testing.T) {
	dir, addr := t.TempDir(), "127.0.0.1:"+freePort(t)
	roots := issue(t, dir)
	start(t, "[http]\nlisten = \""+addr+"\"\ntls_cert = \""+dir+"/cert.pem\"\ntls_key = \""+dir+"/key.pem\"\n"+archive("one.example"))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
	resp, err := client.Get("https://" + addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.TLS == nil || resp.TLS.Version < tls.VersionTLS12 {
		t.Errorf("status %d, %+v", resp.StatusCode, resp.TLS)
	}
	plain, err := client.Get("http://" + addr + "/")
	if err == nil {
		plain.Body.Close()
		if plain.StatusCode != http.StatusBadRequest {
			t.Errorf("plain HTTP on the TLS port: status %d", plain.StatusCode)
		}
	}
}

// One connection carries one request at a time: none of our bounds counts the
// frames of HTTP/2.
func TestHTTPServesNoHTTP2(t *testing.T) {
	dir, addr := t.TempDir(), "127.0.0.1:"+freePort(t)
	roots := issue(t, dir)
	start(t, "[http]\nlisten = \""+addr+"\"\ntls_cert = \""+dir+"/cert.pem\"\ntls_key = \""+dir+"/key.pem\"\n")
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: &protocols, TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
	resp, err := client.Get("https://" + addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.ProtoMajor != 1 || resp.StatusCode != http.StatusOK {
		t.Errorf("%s %s", resp.Proto, resp.Status)
	}
}

// A reload takes a renewed certificate for new connections, keeps the old one
// where the new one cannot be read, and names what it cannot take.
func TestReloadTakesARenewedCertificate(t *testing.T) {
	dir, addr := t.TempDir(), "127.0.0.1:"+freePort(t)
	roots := issue(t, dir)
	tlsOn := "[http]\nlisten = \"" + addr + "\"\ntls_cert = \"" + dir + "/cert.pem\"\ntls_key = \"" + dir + "/key.pem\"\n"
	p := start(t, tlsOn)
	get := func(roots *x509.CertPool) error {
		client := &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
		resp, err := client.Get("https://" + addr + "/")
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	renewed := issue(t, dir)
	if err := get(roots); err != nil {
		t.Errorf("before the reload: %v", err)
	}
	p.signal(t, syscall.SIGHUP)
	p.log.wait(t, "configuration reloaded")
	if err := get(renewed); err != nil {
		t.Errorf("after the reload: %v", err)
	}
	write(t, dir+"/cert.pem", "half a file")
	p.signal(t, syscall.SIGHUP)
	p.log.wait(t, "certificate not reloaded, the old one stays in force")
	if err := get(renewed); err != nil {
		t.Errorf("after a bad file: %v", err)
	}
	p.configure(t, "[http]\nlisten = \""+addr+"\"\n")
	p.signal(t, syscall.SIGHUP)
	p.log.wait(t, "restart the daemon to change them\" keys=[http.tls_cert]")
	p.stop(t)
}

// issue writes the files of a certificate for 127.0.0.1 and returns the pool
// that trusts it.
func issue(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	write(t, filepath.Join(dir, "cert.pem"), string(chain))
	write(t, filepath.Join(dir, "key.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(chain)
	return roots
}
