package mailmantest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"embed"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

const (
	// Domain is where the lists are.
	Domain   = "lists.example.org"
	restUser = "restadmin"
)

// coreConfig is mailman.cfg. runnerConfig is added to it for each runner.
const coreConfig = `[mailman]
layout: private
site_owner: postmaster@lists.example.org
[paths.private]
var_dir: %[1]s/var
bin_dir: %[1]s/python
[mta]
incoming: mailman.mta.null.NullMTA
smtp_host: %[2]s
smtp_port: %[3]s
lmtp_host: %[4]s
lmtp_port: %[5]s
[webservice]
hostname: %[6]s
port: %[7]s
workers: 1
admin_user: %[8]s
admin_pass: %[9]s
[archiver.hyperkitty]
class: mailman_hyperkitty.Archiver
enable: yes
configuration: %[1]s/mailman-hyperkitty.cfg
[runner.nntp]
start: no
`

// runnerConfig lets a runner look into its queue more often than once a second.
const runnerConfig = `[runner.%s]
sleep_time: %s
`

// Runners of mailman.cfg: those that a post passes look into their queues most often.
var (
	quickRunners = []string{"archive", "command", "in", "out", "pipeline", "virgin"}
	otherRunners = []string{"bounces", "digest", "retry", "task"}
)

const archiverConfig = `[general]
base_url: %s
api_key: %s
`

// programs are what Python finds in the instance's folder.
//
//go:embed python
var programs embed.FS

// configure writes the configuration of the core and of HyperKitty, and a certificate: HyperKitty knows itself by
// https URLs alone.
func (m *Mailman) configure() error {
	rest, smtp, lmtp := hostPort(m.rest), hostPort(m.o.SMTP), hostPort(m.o.LMTP)
	core := fmt.Sprintf(coreConfig, m.o.Dir, smtp[0], smtp[1], lmtp[0], lmtp[1], rest[0], rest[1], restUser, m.password)
	for _, name := range quickRunners {
		core += fmt.Sprintf(runnerConfig, name, "0.1s")
	}
	for _, name := range otherRunners {
		core += fmt.Sprintf(runnerConfig, name, "0.5s")
	}
	url, user, password := m.REST()
	kitty, err := json.Marshal(map[string]string{"site": m.o.Web, "domain": Domain, "rest": strings.TrimSuffix(url, "/3.1/"), "user": user,
		"password": password, "dir": m.o.Dir})
	return errors.Join(err, m.makeCertificate(), os.CopyFS(m.o.Dir, programs),
		os.WriteFile(m.file("mailman.cfg"), []byte(core+m.o.Config), 0o600),
		os.WriteFile(m.file("mailman-hyperkitty.cfg"), fmt.Appendf(nil, archiverConfig, m.HyperKitty(), m.password), 0o600),
		os.WriteFile(m.file("hyperkitty.json"), kitty, 0o600))
}

func hostPort(addr string) [2]string {
	host, port, _ := net.SplitHostPort(addr)
	return [2]string{host, port}
}

// makeCertificate makes a key and a certificate for 127.0.0.1 that the HTTP client and Mailman trust.
func (m *Mailman) makeCertificate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certPEM)
	m.http = http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	return errors.Join(os.WriteFile(m.file("cert.pem"), certPEM, 0o600),
		os.WriteFile(m.file("key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
}
