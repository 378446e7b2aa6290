package cache

import "math/bits"

// blockSize is the grain of a partial file's map, bytes.
const blockSize = 64 << 10

// A blockMap says which blocks of a file are there.
type blockMap struct {
	bits   []byte
	blocks int64
	left   int64 // blocks that are not there
}

func newBlockMap(size int64) blockMap {
	n := blocksOf(size)
	return blockMap{bits: make([]byte, (n+7)/8), blocks: n, left: n}
}

// blocksOf is how many blocks so many bytes have.
func blocksOf(size int64) int64 { return (size + blockSize - 1) / blockSize }

// blockMapOf takes over stored bits; false when they are not of a file of this size.
func blockMapOf(size int64, stored []byte) (blockMap, bool) {
	m := newBlockMap(size)
	if len(stored) != len(m.bits) {
		return m, false
	}
	copy(m.bits, stored)
	if rest := m.blocks % 8; rest != 0 {
		m.bits[len(m.bits)-1] &= 1<<rest - 1
	}
	for _, b := range m.bits {
		m.left -= int64(bits.OnesCount8(b))
	}
	return m, true
}

func (m *blockMap) has(block int64) bool { return m.bits[block/8]&(1<<(block%8)) != 0 }

func (m *blockMap) set(block int64) {
	if !m.has(block) {
		m.bits[block/8] |= 1 << (block % 8)
		m.left--
	}
}

// fill is set of the blocks from first to end (exclusive) that the other map does not have.
func (m *blockMap) fill(first, end int64, but *blockMap) {
	for b := first; b < end; {
		if b%8 == 0 && end-b >= 8 && but.bits[b/8] == 0 {
			m.left -= int64(8 - bits.OnesCount8(m.bits[b/8]))
			m.bits[b/8] = 0xff
			b += 8
		} else {
			if !but.has(b) {
				m.set(b)
			}
			b++
		}
	}
}

func (m *blockMap) clear(block int64) {
	if m.has(block) {
		m.bits[block/8] &^= 1 << (block % 8)
		m.left++
	}
}

// hasAll tells whether the blocks from first to end (exclusive) are there.
func (m *blockMap) hasAll(first, end int64) bool {
	for b := first; b < end; b++ {
		if !m.has(b) {
			return false
		}
	}
	return true
}

// run is how far the blocks reach without a gap from first on: the number of the first that is missing.
func (m *blockMap) run(first int64) int64 {
	for first < m.blocks {
		if first%8 == 0 && m.bits[first/8] == 0xff {
			first += 8
		} else if m.has(first) {
			first++
		} else {
			return first
		}
	}
	return min(first, m.blocks)
}

// gap finds the first blocks from a block on that neither map has, at most most of them.
func (m *blockMap) gap(other *blockMap, from, limit, most int64) (first, end int64) {
	for first = m.run(from); first < limit && other.has(first); first = m.run(first + 1) {
	}
	first = min(first, max(from, limit))
	for end = first; end < limit && end-first < most && !m.has(end) && !other.has(end); end++ {
	}
	return first, end
}
