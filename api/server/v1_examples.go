package server

import "satchel/api/route"

// v1Examples shows how Satchel's own clients ask.
func v1Examples(doc *route.Document) {
	you := func(summary, path string, status int, contains string) route.Example {
		return route.Example{Summary: summary, As: route.You, Path: path, Status: status, Contains: contains}
	}
	body := func(e route.Example, text string) route.Example {
		e.Header, e.Body = asJSON, text
		return e
	}
	keep := func(e route.Example, name, at string) route.Example {
		e.Keep = map[string]string{name: at}
		return e
	}
	doc.Examples("login", route.Example{
		Summary: "With a wrong password", Header: asJSON, Body: `{"email":"nobody@example.org","password":"wrong","device":"laptop"}`,
		Status: 401, Contains: `"kind":"unauthenticated"`,
	})
	doc.Examples("token", route.Example{Summary: "For a secret that nobody has", Header: asJSON, Body: `{"secret":"none"}`, Status: 401})
	doc.Examples("device-code", body(keep(route.Example{Summary: "For a laptop", Status: 200, Contains: `"user_code"`}, "wish", "device_code"), `{"device":"laptop"}`))
	doc.Examples("device-token", body(route.Example{Summary: "Not yet", Path: "/v1/device/token", Status: 200, Contains: `"state":"`}, `{"device_code":"$wish"}`))
	doc.Examples("whoami", you("With a token", "", 200, `"user":"$you"`))
	doc.Examples("devices", you("All", "", 200, "["))
	doc.Examples("revoke-device", you("One that is not there", "/v1/devices/00000000-0000-7000-8000-000000000000", 404, `"kind":"not_found"`))
	doc.Examples("drives", you("Yours", "", 200, `"name":"home"`))
	drive := keep(you("Yours", "/v1/drives/home", 200, `"id":"$home"`), "root", "root")
	drive.Keep["epoch"], drive.Keep["seq"] = "epoch", "seq"
	doc.Examples("drive", drive)
	doc.Examples("lookup", keep(you("A file", "/v1/drives/home/lookup?path=notes/today.txt", 200, `"type":"f"`), "file", "id"),
		keep(you("A directory", "/v1/drives/home/lookup?path=notes", 200, `"type":"d"`), "notes", "id"),
		keep(you("Its document", "/v1/drives/home/lookup?path=notes/today.txt", 200, `"document"`), "today", "document"))
	doc.Examples("node", you("The root", "/v1/drives/$home/nodes/$root", 200, `"type":"d"`))
	doc.Examples("children", you("The root", "/v1/drives/$home/nodes/$root/children?limit=10", 200, `"notes"`))
	doc.Examples("listings", body(you("The root, and what is not there", "/v1/drives/$home/listings", 200, `"problem":"not_found"`), `{"dirs":["$root","0190aaaa-0000-7000-8000-00000000000f"],"limit":10}`))
	doc.Examples("changes", you("Without waiting", "/v1/drives/home/changes?epoch=$epoch&after=$seq&wait=0", 200, `"seq"`))
	doc.Examples("binds", you("Yours", "/v1/drives/home/binds", 200, "["))
	doc.Examples("content", you("A file", "/v1/drives/home/nodes/$file/content", 200, "Buy bread."))
	doc.Examples("holes", you("A file without any", "/v1/drives/home/nodes/$file/holes", 200, `"holes":[]`))
	doc.Examples("usage", you("A directory", "/v1/drives/home/nodes/$notes/usage", 200, `"bytes"`))
	doc.Examples("versions", you("A file's", "/v1/drives/home/documents/$today/versions", 200, `"current":true`))
	doc.Examples("shares", you("Everything that is shared", "/v1/drives/home/shares", 200, `"grants":[`))
	doc.Examples("share-public", body(you("A file with everybody", "/v1/drives/home/shares/public", 200, `"userId":"anonymous"`), `{"path":"notes/today.txt","public":true}`),
		body(you("No longer", "/v1/drives/home/shares/public", 200, `"grants":[]`), `{"path":"notes/today.txt","public":false}`))
	doc.Examples("share-with", body(you("Nobody's address", "/v1/drives/home/shares/people", 404, `"kind":"not_found"`), `{"path":"notes","email":"nobody@example.org","permissions":["read","list"]}`))
	doc.Examples("add-link", body(keep(you("For a hundred years, with a password", "/v1/drives/home/links", 200, `"url"`), "link", "id"), `{"path":"notes","expires":"2126-01-31T18:00:00Z","password":"open sesame"}`))
	doc.Examples("remove-link", you("That one", "/v1/drives/home/links/$link", 204, ""))
	doc.Examples("theirs", you("All", "", 200, "["))
	doc.Examples("bind-theirs", body(you("One that nobody shares", "/v1/shared/binds", 404, `"kind":"not_found"`), `{"drive":"$home","node":"$notes"}`))
	doc.Examples("unbind-theirs", you("One that is not there", "/v1/shared/binds/00000000-0000-7000-8000-000000000000", 404, `"kind":"not_found"`))
	doc.Examples("trash", you("The last ones", "/v1/drives/home/trash?limit=10", 200, "["))
	doc.Examples("missing", body(you("Chunks that nobody has", "/v1/drives/home/missing", 200, "abab"),
		`{"hashes":["abababababababababababababababababababababababababababababababab"]}`))
	doc.Examples("commit", body(you("A new directory", "/v1/drives/home/batches", 200, `"status":"applied"`),
		`{"incarnation":"0190aaaa-0000-7000-8000-000000000001","number":1,"mutations":[{"op":"create","node":"0190aaaa-0000-7000-8000-000000000002",`+
			`"parent":"$root","name":"by-batch","attr":{"type":"d","mode":493},"time":1}]}`))
	doc.Examples("add-app-password", body(keep(you("For a program", "", 200, `"password"`), "app", "id"), `{"name":"file manager"}`))
	doc.Examples("app-passwords", you("All", "", 200, `"file manager"`))
	doc.Examples("revoke-app-password", you("That one", "/v1/app-passwords/$app", 204, ""))
	doc.Examples("add-access-key", body(keep(you("For a program", "", 200, `"secret"`), "key", "key"), `{"name":"backup"}`))
	doc.Examples("access-keys", you("All", "", 200, `"backup"`))
	doc.Examples("rotate-access-key", you("That one's secret", "/v1/access-keys/$key/rotate", 200, `"secret"`))
	doc.Examples("revoke-access-key", you("That one", "/v1/access-keys/$key", 204, ""))
	const none = "0190aaaa-0000-7000-8000-00000000000f"
	doc.Examples("logout", route.Example{Summary: "By nobody", Status: 401, Contains: `"kind":"unauthenticated"`})
	doc.Examples("put-pack", route.Example{Summary: "What is no pack", As: route.You, Path: "/v1/drives/home/packs",
		Header: map[string]string{"Content-Type": "application/octet-stream"}, Body: "no pack", Status: 400, Contains: `"kind":"invalid"`})
	doc.Examples("contents", body(you("Of one file", "/v1/drives/home/contents", 200, "Buy bread."), `{"files":[{"node":"$file"}]}`))
	doc.Examples("restore-version", you("One that is not there", "/v1/drives/home/documents/$today/versions/"+none+"/restore", 404, `"kind":"not_found"`))
	doc.Examples("restore-trash", body(you("What was not deleted", "/v1/drives/home/trash/restore", 404, `"kind":"not_found"`), `{"node":"`+none+`"}`))
	doc.Examples("empty-trash", you("All of it", "/v1/drives/home/trash", 200, "{"))
	doc.Examples("restore-drive", body(you("To no time", "/v1/drives/home/restore", 400, `"kind":"invalid"`), `{"at":"yesterday"}`))
}
