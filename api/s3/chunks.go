package s3

import (
	"bufio"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// emptySHA256 is the SHA-256 of nothing, in hex.
const emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// chunks decodes aws-chunked bodies: HEX[;chunk-signature=SIG]\r\n, that many
// bytes, \r\n, and so on to a chunk of 0 bytes, with trailers after it. Where
// chunks are signed each signature covers its chunk and the signature before it, and is
// checked when its last byte was read.
type chunks struct {
	r       *bufio.Reader
	trailer http.Header
	has     bool  // a trailer follows the last chunk
	left    int64 // of the present chunk
	began   bool
	err     error

	key       []byte // nil: chunks are not signed
	signature string // of the chunk before
	claimed   string // of the present chunk
	sum       hash.Hash
	scope     string
}

func newChunks(r io.Reader, payload string) *chunks {
	return &chunks{r: bufio.NewReader(r), trailer: http.Header{}, has: strings.HasSuffix(payload, "-TRAILER")}
}

func (c *chunks) sign(s signature, key []byte) {
	c.key, c.scope, c.signature, c.sum = key, s.stamp+"\n"+s.scope(), s.value, sha256.New()
}

func (c *chunks) Read(p []byte) (int, error) {
	if c.err == nil && c.left == 0 {
		c.err = c.next()
	}
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	if c.sum != nil {
		c.sum.Write(p[:n])
	}
	if err == io.EOF {
		err = errBroken()
	}
	c.err = err
	return n, err
}

func errBroken() error {
	return refuse(http.StatusBadRequest, "IncompleteBody", "the chunked body broke off, or is not well formed")
}

// next ends a chunk and begins the one after it; io.EOF after the last.
func (c *chunks) next() error {
	if c.began {
		if err := c.endChunk(); err != nil {
			return err
		}
	}
	c.began = true
	line, err := c.line()
	if err != nil {
		return err
	}
	size, extension, _ := strings.Cut(line, ";")
	n, err := strconv.ParseInt(size, 16, 64)
	if err != nil || n < 0 {
		return errBroken()
	}
	c.left = n
	if c.claimed, _ = strings.CutPrefix(strings.TrimSpace(extension), "chunk-signature="); c.key != nil {
		c.sum.Reset()
	}
	if n > 0 {
		return nil
	}
	if err := c.verify("AWS4-HMAC-SHA256-PAYLOAD", emptySHA256+"\n"+hex.EncodeToString(c.digest()), c.claimed); err != nil {
		return err
	}
	return c.end()
}

func (c *chunks) digest() []byte {
	if c.sum == nil {
		return nil
	}
	return c.sum.Sum(nil)
}

// endChunk reads the line break after a chunk and checks its signature.
func (c *chunks) endChunk() error {
	if line, err := c.line(); err != nil || line != "" {
		return errBroken()
	}
	return c.verify("AWS4-HMAC-SHA256-PAYLOAD", emptySHA256+"\n"+hex.EncodeToString(c.digest()), c.claimed)
}

// maxTrailers is the most lines behind the last chunk: sums and their signature.
const maxTrailers = 16

// end reads what follows the last chunk: trailers, and a line break, which some clients leave out.
func (c *chunks) end() error {
	var signed strings.Builder
	for lines := 0; ; lines++ {
		var line string
		if _, err := c.r.Peek(1); err != io.EOF {
			if line, err = c.line(); err != nil {
				return err
			}
		}
		name, value, ok := strings.Cut(line, ":")
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		switch {
		case line == "":
			if c.has && c.key != nil {
				return errBroken() // without its signature
			}
			return io.EOF
		case !c.has || !ok || lines == maxTrailers:
			return errBroken()
		case name == "x-amz-trailer-signature":
			sum := sha256.Sum256([]byte(signed.String()))
			if err := c.verify("AWS4-HMAC-SHA256-TRAILER", hex.EncodeToString(sum[:]), value); err != nil {
				return err
			}
			return io.EOF
		}
		signed.WriteString(name + ":" + value + "\n")
		c.trailer.Set(name, value)
	}
}

// verify checks one link of the chain of signatures.
func (c *chunks) verify(kind, content, claimed string) error {
	if c.key == nil {
		return nil
	}
	want := hex.EncodeToString(hmacSum(c.key, kind+"\n"+c.scope+"\n"+c.signature+"\n"+content))
	if subtle.ConstantTimeCompare([]byte(want), []byte(claimed)) != 1 {
		return refuse(http.StatusForbidden, "SignatureDoesNotMatch", "a chunk of the body is not signed rightly")
	}
	c.signature = want
	return nil
}

// maxLine is the longest line between chunks.
const maxLine = 4096

// line is the next line without its end.
func (c *chunks) line() (string, error) {
	var b []byte
	for len(b) < maxLine {
		ch, err := c.r.ReadByte()
		if err == io.EOF {
			return "", errBroken()
		}
		if err != nil {
			return "", err
		}
		if ch == '\n' {
			return strings.TrimSuffix(string(b), "\r"), nil
		}
		b = append(b, ch)
	}
	return "", errBroken()
}
