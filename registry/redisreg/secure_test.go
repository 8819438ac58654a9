package redisreg_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"permalink-milter/registry"
	"permalink-milter/registry/redisreg"
)

// An authority is a CA of the test's own, whose files lie in dir.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key = a.issue("ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// issue writes NAME.pem and NAME.key, signed by the authority or, for its own,
// by itself.
func (a *authority) issue(name string, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(a.t, err)
	c.SerialNumber, c.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: name}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	must(a.t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(a.t, err)
	for file, block := range map[string]*pem.Block{name + ".pem": {Type: "CERTIFICATE", Bytes: der}, name + ".key": {Type: "PRIVATE KEY", Bytes: private}} {
		must(a.t, os.WriteFile(a.file(file), pem.EncodeToMemory(block), 0o600))
	}
	c, err = x509.ParseCertificate(der)
	must(a.t, err)
	return c, key
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

func TestSuiteOverTLSWithAClientCertificateAndAnACLUser(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.issue("server", &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
	a.issue("client", &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	s := server(t)
	port, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	addr := port.Addr().String()
	port.Close()
	command(t, s, append([]string{"acl", "setuser", "mail", "on", ">secret-word", "~test*", "+select"}, permissions...)...)
	command(t, s, "config", "set", "tls-ca-cert-file", a.file("ca.pem"), "tls-cert-file", a.file("server.pem"), "tls-key-file", a.file("server.key"),
		"tls-port", addr[strings.LastIndexByte(addr, ':')+1:], "appendonly", "yes")
	o := redisreg.Options{URL: "rediss://" + addr + "/1", Username: "mail", Password: "secret-word",
		TLSCA: a.file("ca.pem"), TLSCert: a.file("client.pem"), TLSKey: a.file("client.key")}
	runSuite(t, o)
	o.KeyPrefix = "test:"
	if warnings, err := open(t, o).Check(t.Context()); err != nil || len(warnings) > 0 {
		t.Errorf("check: %q, %v", warnings, err)
	}
	for name, spoil := range map[string]func(*redisreg.Options){
		"no client certificate": func(o *redisreg.Options) { o.TLSCert, o.TLSKey = "", "" },
		"the system's CAs":      func(o *redisreg.Options) { o.TLSCA = "" },
		"a wrong password":      func(o *redisreg.Options) { o.Password = "wrong-word" },
	} {
		bad := o
		bad.Timeout = time.Second
		spoil(&bad)
		_, err := open(t, bad).Get(t.Context(), registry.Key{List: "a@b", Hash: "7KWUTBTOSSMPYFYZ6UUJ46QCNE"})
		if err == nil || strings.Contains(err.Error(), "wrong-word") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSuiteOverAUnixSocket(t *testing.T) {
	t.Parallel()
	runSuite(t, redisreg.Options{URL: "unix://" + filepath.Join(server(t).Dir, "redis.sock") + "?db=1"})
}

func TestOptionsThatCannotBeMeantAreErrors(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "empty.pem"), nil, 0o600))
	for want, o := range map[string]redisreg.Options{
		"no such file":             {URL: "rediss://a", TLSCA: filepath.Join(dir, "ca.pem")},
		"holds no PEM certificate": {URL: "rediss://a", TLSCA: filepath.Join(dir, "empty.pem")},
		"client certificate":       {URL: "rediss://a", TLSCert: filepath.Join(dir, "empty.pem"), TLSKey: filepath.Join(dir, "none")},
		"URL of Redis":             {URL: "redis:/a"},
	} {
		if _, err := redisreg.Open(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestOptionsPrintWithoutPasswords(t *testing.T) {
	o := redisreg.Options{URL: "redis://mail:hunter2@a", Password: "hunter3"}
	for _, text := range []string{fmt.Sprint(o), fmt.Sprintf("%+v", o), o.LogValue().String()} {
		if strings.Contains(text, "hunter") {
			t.Error(text)
		}
	}
}

func TestThePasswordIsAFilesFirstLineOrTheEnvironments(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"unix": "s p@ss\nmore\n", "bare": "s p@ss", "dos": "s p@ss\r\n", "empty": "\nlater"} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	t.Setenv(redisreg.PasswordVariable, "of the environment")
	for name, want := range map[string]string{"unix": "s p@ss", "bare": "s p@ss", "dos": "s p@ss", "": "of the environment"} {
		file := name
		if name != "" {
			file = filepath.Join(dir, name)
		}
		if got, err := redisreg.ReadPassword(file); err != nil || got != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for name, want := range map[string]string{"empty": "is empty", "missing": "no such file"} {
		if _, err := redisreg.ReadPassword(filepath.Join(dir, name)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
