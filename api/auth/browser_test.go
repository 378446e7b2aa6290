package auth

import "testing"

func TestBrowserName(t *testing.T) {
	for agent, want := range map[string]string{
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0":                                                        "Firefox on Linux",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0": "Edge on Windows",
		"Mozilla/5.0 (Unknown)": "a web browser",
		"curl/8.14.1":           "curl",
		"rclone/v1.71":          "rclone/v1.71",
		"Firefox on Linux":      "Firefox on Linux",
		"Ada's Chromebook":      "Ada's Chromebook",
		"lab/Chromebox Linux":   "lab/Chromebox Linux",
		"":                      "",
	} {
		if got := BrowserName(agent); got != want {
			t.Errorf("%q is %q, not %q", agent, got, want)
		}
	}
}
