package fleet

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"lifeboat/internal/fleet/action"
	"lifeboat/internal/fleet/api"
	"lifeboat/internal/fleet/standing"
)

// metrics is how the server and its fleet are, for Prometheus. No name of a host is
// in it: how hosts stand is counted.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
	jobs     *prometheus.CounterVec
	hosts    *prometheus.GaugeVec
	drilled  prometheus.Gauge
}

func newMetrics(desk *action.Desk, version string) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "lifeboat_fleet_request_seconds", Help: "How long requests took.",
			Buckets: []float64{.001, .005, .02, .1, .5, 2, 10, 60},
		}, []string{"what", "method", "status"}),
		jobs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lifeboat_fleet_jobs_total", Help: "Periodic jobs that this server has done.",
		}, []string{"job", "result"}),
		hosts: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "lifeboat_fleet_hosts", Help: "Hosts by how they stand, when the server that watches last looked.",
		}, []string{"state"}),
		drilled: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "lifeboat_fleet_hosts_never_drilled", Help: "Hosts with a system whose recovery nobody has rehearsed.",
		}),
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "lifeboat_fleet_info", Help: "Always 1; the version is a label.", ConstLabels: prometheus.Labels{"version": version},
	})
	info.Set(1)
	authority := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "lifeboat_fleet_authority_ends_seconds", Help: "When the certificate of the fleet's authority ends, in seconds since 1970.",
	})
	authority.Set(float64(desk.Keys.Authority.NotAfter.Unix()))
	m.registry.MustRegister(m.requests, m.jobs, m.hosts, m.drilled, info, authority,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// request counts a request. What was asked is one of few words, so that nobody can
// make metrics grow by asking for odd paths.
func (m *metrics) request(r *http.Request, status int, took time.Duration) {
	what := "console"
	switch path := r.URL.Path; {
	case path == api.RecoveryPath:
		what = "recovery"
	case strings.HasPrefix(path, api.Prefix+"/agent/reports/"):
		what = "report"
	case strings.HasPrefix(path, api.Prefix+"/agent/runs/"):
		what = "events"
	case strings.HasPrefix(path, api.Prefix+"/"):
		what = "api"
	case strings.HasPrefix(path, "/rear/"), strings.HasPrefix(path, "/clients/"):
		what = "rear"
	case path == "/healthz", path == "/readyz", path == "/metrics":
		what = "self"
	}
	method := r.Method
	switch method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete:
	default:
		method = "other"
	}
	m.requests.WithLabelValues(what, method, strconv.Itoa(status)).Observe(took.Seconds())
}

func (m *metrics) job(name string, err error) {
	result := "done"
	if err != nil {
		result = "failed"
	}
	m.jobs.WithLabelValues(name, result).Inc()
}

func (m *metrics) standing(hosts []standing.Host) {
	c := standing.Count(hosts)
	for _, state := range standing.States() {
		m.hosts.WithLabelValues(string(state)).Set(float64(c.By[state]))
	}
	m.drilled.Set(float64(c.NeverDrilled))
}
