package chunk

import (
	"crypto/sha256"
	"io"
	"sync"

	"satchel/api"
)

// Version reads r to its end and describes it: size, SHA-256 of the whole, and
// chunks. The id is left to the caller. fn is called with each chunk in order
// and may be nil; the data is valid during the call only.
//
// The first chunk is hashed once for both sums, so content of one chunk costs
// one SHA-256. From the second on the sum of the whole is computed beside the
// chunk's own and beside fn.
func Version(r io.Reader, fn func(c api.Chunk, data []byte) error) (api.Version, error) {
	var v api.Version
	var whole Whole
	err := Split(r, func(data []byte) error {
		c := api.Chunk{Size: uint32(len(data))}
		var both sync.WaitGroup
		switch {
		case isZeros(data):
			whole.Zeros(MaxSize)
			c.Hash = zerosHash()
		case v.Size == 0:
			whole.Write(data)
			c.Hash = whole.Sum()
		default:
			both.Go(func() { whole.Write(data) })
			c.Hash = sha256.Sum256(data)
		}
		v.Size += int64(len(data))
		v.Chunks = append(v.Chunks, c)
		var err error
		if fn != nil {
			err = fn(c, data)
		}
		both.Wait()
		return err
	})
	if err != nil {
		return api.Version{}, err
	}
	v.SHA256 = whole.Sum()
	return v, nil
}
