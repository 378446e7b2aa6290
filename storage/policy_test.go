package storage

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"satchel/api"
)

func TestParsePolicy(t *testing.T) {
	const rest = `"Action":"s3:Get*","Resource":"arn:aws:s3:::b/50%_*"`
	rules, err := parsePolicy(json.RawMessage(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":["arn:aws:iam:::user/You@Example.org","KEY"]},`+rest+`}}`), "b")
	if err != nil || len(rules) != 1 || !slices.Equal(rules[0].Principals, []string{"you@example.org", "KEY"}) ||
		!slices.Equal(rules[0].Actions, []string{"s3:Get%"}) || !slices.Equal(rules[0].Resources, []string{`arn:aws:s3:::b/50\%\_%`}) {
		t.Errorf("%+v %v", rules, err)
	}
	// What is not understood would be taken for more or less than it says.
	for _, bad := range []string{
		``, `[]`, `{}`, `{"Statement":[]}`,
		`{"Statement":[{"Effect":"Maybe","Principal":"*",` + rest + `}]}`,
		`{"Statement":[{"Effect":"Allow",` + rest + `}]}`,
		`{"Statement":[{"Effect":"Allow","NotPrincipal":"*",` + rest + `}]}`,
		`{"Statement":[{"Effect":"Allow","Principal":"*","Condition":{"IpAddress":{}},` + rest + `}]}`,
		`{"Statement":[{"Effect":"Allow","Principal":{"Federated":"x"},` + rest + `}]}`,
		`{"Statement":[{"Effect":"Allow","Principal":"*","Action":"ec2:*","Resource":"arn:aws:s3:::b"}]}`,
		`{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::bb"}]}`,
		`{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*"}]}`,
		`{"Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:user/*"},` + rest + `}]}`,
		`{"Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:PutObjekt","Resource":"arn:aws:s3:::b/*"}]}`,
		`{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:PutBucketPolicy","Resource":"arn:aws:s3:::b"}]}`,
		`{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:","Resource":"arn:aws:s3:::b"}]}`,
		`{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::b/home/${aws:username}/*"}]}`,
	} {
		if rules, err := parsePolicy(json.RawMessage(bad), "b"); api.KindOf(err) != api.Invalid {
			t.Errorf("%s: %+v %v", bad, rules, err)
		}
	}
}

// S3 does not tell case apart in actions; what they are in the database does.
func TestPolicyActions(t *testing.T) {
	for action, want := range map[string][]string{
		"*":                     {"%"},
		"s3:*":                  {"s3:%"},
		"S3:*":                  {"s3:%"},
		"s3:PutObject":          {"s3:PutObject"},
		"S3:pUTOBJECT":          {"s3:PutObject"},
		"s3:getobjectversion":   {"s3:GetObjectVersion"},
		"s3:Get*":               {"s3:Get%"},
		"s3:*Object":            {"s3:%Object"},
		"s3:listbucket*":        {"s3:listbucket%", "s3:ListBucket", "s3:ListBucketMultipartUploads", "s3:ListBucketVersions"},
		"s3:?utobject":          {"s3:_utobject", "s3:PutObject"},
		"s3:*multipart*parts":   {"s3:%multipart%parts", "s3:ListMultipartUploadParts"},
		"s3:ListBucketMulti*":   {"s3:ListBucketMulti%"},
		"s3:NothingLikeThis*":   {"s3:NothingLikeThis%"},
		"s3:put(object|.+)[a*]": {"s3:put(object|.+)[a%]"},
	} {
		if got, err := actionPatterns(action); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s is %q, %v", action, got, err)
		}
	}
}

// What a policy denies is denied however it writes that.
func TestPolicyDeniesInAnyCase(t *testing.T) {
	w := newWorld(t)
	me, friend := w.user(t, "editor"), w.user(t, "editor")
	if err := w.CreateBucket(t.Context(), me, "bucket"); err != nil {
		t.Fatal(err)
	}
	for denied, may := range map[string]bool{
		"s3:PutObject": false, "s3:putobject": false, "S3:PUT*": false, "s3:?utobject": false, "s3:*object": false,
		"s3:deleteobject": true, "s3:putobject?": true, "s3:putobjectacl": true,
	} {
		statement := func(effect, action string) string {
			return `{"Effect":"` + effect + `","Principal":"*","Action":"` + action + `","Resource":"arn:aws:s3:::bucket/*"}`
		}
		policy := `{"Statement":[` + statement("Allow", "s3:*") + "," + statement("Deny", denied) + `]}`
		if err := w.SetBucketPolicy(t.Context(), me, "bucket", json.RawMessage(policy)); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Bucket(t.Context(), friend, "bucket", "s3:PutObject", "k"); (err == nil) != may {
			t.Errorf("denied %s: %v", denied, err)
		}
	}
}

// A policy means the accounts that there are when it is set: nobody gains what it
// gives by signing up later with an address that it names.
func TestPolicyNamesWhoIsThere(t *testing.T) {
	w := newWorld(t)
	me, friend := w.user(t, "editor"), w.user(t, "editor")
	if err := w.CreateBucket(t.Context(), me, "bucket"); err != nil {
		t.Fatal(err)
	}
	set := func(principal string) error {
		return w.SetBucketPolicy(t.Context(), me, "bucket", json.RawMessage(`{"Statement":{"Effect":"Allow","Principal":{"AWS":"`+principal+`"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*"}}`))
	}
	may := func(who Caller) bool {
		_, err := w.Bucket(t.Context(), who, "bucket", "s3:GetObject", "k")
		return err == nil
	}
	address := friend.User.String() + "@example.org"
	if err := set(strings.ToUpper(address)); err != nil || !may(friend) {
		t.Fatalf("a friend by his address: %v", err)
	}
	for _, nobody := range []string{"later@example.org", api.NewID().String(), "AKIANOBODY", "%", friend.User.String()[1:]} {
		if err := set(nobody); api.KindOf(err) != api.Invalid {
			t.Errorf("a policy for %s: %v, want invalid", nobody, err)
		}
	}
	if !may(friend) {
		t.Error("a policy that was refused replaced the one before")
	}
	later := api.NewID()
	if err := w.db.SignUp(t.Context(), later, "later@example.org", "", "hash", nil); err != nil {
		t.Fatal(err)
	}
	if may(Caller{User: later}) {
		t.Error("who came later may read")
	}
}
