package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// checkTimeout is how long Check waits. A container's health check has a limit of its own, usually longer.
const checkTimeout = 3 * time.Second

// maxAnswer bounds what Check reads of an answer.
const maxAnswer = 1 << 20

// Check asks the process that listens at the address of Options.Listen whether it lives or, if ready is set, whether
// it is ready. It is what a container without a shell uses as its health check. The error says why not, in one line.
func Check(ctx context.Context, listen string, ready bool) error {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("check health at %q: %w; check admin.listen", listen, err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost" // all interfaces, IPv4 or IPv6: this one is always among them
	}
	path := "/healthz"
	if ready {
		path = "/readyz"
	}
	url := "http://" + net.JoinHostPort(host, port) + path
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("check health at %s: %w", url, err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy: it is this machine
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("check health at %s: nothing answers there: %w", url, plainNetError(err))
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusOK {
		return nil
	}
	why := response.Status
	var r Readiness
	if body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer)); err == nil && json.Unmarshal(body, &r) == nil &&
		len(r.Reasons) > 0 {
		why = strings.Join(r.Reasons, "; ")
	}
	return fmt.Errorf("check health at %s: not ready: %s", url, why)
}
