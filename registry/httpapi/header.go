package httpapi

import (
	"errors"
	"fmt"
	"io"

	"permalink-milter/hashheader"
)

// readHeader reads the header section of a message in a request's body.
func readHeader(r io.Reader) (hashheader.Header, error) {
	h, err := hashheader.ReadHeader(r)
	if errors.Is(err, hashheader.ErrSectionTooBig) {
		return nil, fmt.Errorf("%w: %w", errTooLarge, err)
	}
	return h, bodyError(err)
}
