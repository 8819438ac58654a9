package hashheader

import (
	"crypto/fips140"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
)

// An Algorithm is a digest that names messages. It names; it does not
// authenticate, which is why MD5 and SHA-1 are still fit for it.
type Algorithm uint8

// The algorithms, in the order of their fields' names.
const (
	MD5 Algorithm = iota
	SHA1
	SHA256
)

// Algorithms lists every Algorithm.
var Algorithms = [...]Algorithm{MD5, SHA1, SHA256}

var (
	algorithmNames = [...]string{MD5: "md5", SHA1: "sha1", SHA256: "sha256"}
	fieldNames     = [...]string{MD5: "Message-ID-MD5", SHA1: "Message-ID-SHA1", SHA256: "Message-ID-SHA256"}
)

// ErrFIPS is returned for MD5 and SHA-1 where FIPS 140 mode is enforced.
var ErrFIPS = errors.New("not allowed in FIPS 140-only mode; set algorithm = \"sha256\"")

// base32Hash is RFC 4648, section 6, without the padding.
var base32Hash = base32.StdEncoding.WithPadding(base32.NoPadding)

// ParseAlgorithm reads a configured name: md5, sha1 or sha256.
func ParseAlgorithm(name string) (Algorithm, error) {
	for _, a := range Algorithms {
		if strings.EqualFold(name, a.String()) {
			return a, nil
		}
	}
	return 0, fmt.Errorf("unknown algorithm %q: write md5, sha1 or sha256", name)
}

// String returns the configured name: md5, sha1 or sha256.
func (a Algorithm) String() string { return algorithmNames[a] }

// FieldName returns the header field that carries the hash, such as
// Message-ID-MD5.
func (a Algorithm) FieldName() string { return fieldNames[a] }

// size returns the bytes of a digest.
func (a Algorithm) size() int { return [...]int{md5.Size, sha1.Size, sha256.Size}[a] }

// HashLen returns the characters of a hash: 26, 32 or 52.
func (a Algorithm) HashLen() int { return base32Hash.EncodedLen(a.size()) }

// Allowed returns ErrFIPS, wrapped, where the algorithm must not be used.
func (a Algorithm) Allowed() error {
	if a != SHA256 && fips140.Enforced() {
		return fmt.Errorf("%s is %w", a, ErrFIPS)
	}
	return nil
}

// Hash returns the base32 hash of a canonical Message-ID. Its only error is
// ErrFIPS.
func (a Algorithm) Hash(canonical []byte) (string, error) {
	var room [52]byte
	hash, err := a.AppendHash(room[:0], canonical)
	return string(hash), err
}

// AppendHash appends the base32 hash of a canonical Message-ID to dst.
func (a Algorithm) AppendHash(dst, canonical []byte) ([]byte, error) {
	var room [sha256.Size]byte
	digest, err := a.appendSum(room[:0], canonical)
	return base32Hash.AppendEncode(dst, digest), err
}

// appendSum appends the digest of data to dst.
func (a Algorithm) appendSum(dst, data []byte) ([]byte, error) {
	if err := a.Allowed(); err != nil {
		return dst, err
	}
	switch a {
	case MD5:
		sum := md5.Sum(data)
		return append(dst, sum[:]...), nil
	case SHA1:
		sum := sha1.Sum(data)
		return append(dst, sum[:]...), nil
	default:
		sum := sha256.Sum256(data)
		return append(dst, sum[:]...), nil
	}
}

// ParseHash reads a hash as people and old software write it, in either case
// and with optional padding, and returns it as Hash does.
func (a Algorithm) ParseHash(value string) (string, error) {
	hash := strings.ToUpper(strings.TrimRight(Stripped(value), "="))
	if len(hash) != a.HashLen() {
		return "", fmt.Errorf("%s hash %.80q: %d characters, want %d", a, value, len(hash), a.HashLen())
	}
	// Decoding is too lenient: it skips line ends, and the last character's
	// unused bits. Encoding again shows both.
	var digest, again [64]byte
	n, err := base32Hash.Decode(digest[:], []byte(hash))
	if err != nil || string(base32Hash.AppendEncode(again[:0], digest[:n])) != hash {
		return "", fmt.Errorf("%s hash %.80q: not base32 (A-Z and 2-7)", a, value)
	}
	return hash, nil
}
