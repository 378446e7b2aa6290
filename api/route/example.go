package route

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
)

// ExamplesOf reads a document as it is served, for whoever sends its examples.
func ExamplesOf(document []byte) ([]Call, error) {
	var doc struct {
		Paths map[string]map[string]struct {
			ID       string                `json:"operationId"`
			Order    int                   `json:"x-order"`
			Examples []Example             `json:"x-examples"`
			Security []map[string][]string `json:"security"`
		}
	}
	if err := json.Unmarshal(document, &doc); err != nil {
		return nil, err
	}
	var calls []Call
	for path, item := range doc.Paths {
		for method, op := range item {
			c := Call{Operation: op.ID, Method: strings.ToUpper(method), Access: accessOf(op.Security), Examples: op.Examples, order: op.Order}
			for i := range c.Examples {
				c.Examples[i].Path = cmp.Or(c.Examples[i].Path, path)
			}
			calls = append(calls, c)
		}
	}
	slices.SortFunc(calls, func(a, b Call) int { return cmp.Compare(a.order, b.order) })
	return calls, nil
}

// Call is an operation of a served document and its examples, whose paths are filled in.
type Call struct {
	Operation string
	Method    string
	Access    Access
	Examples  []Example
	order     int
}
