package compose

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// project is the file as Compose sees it: with its schema checked, anchors resolved and references followed.
func project(t *testing.T, profiles ...string) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{"../../docker-compose.yml"}, cli.WithEnv(nil),
		cli.WithProfiles(profiles))
	if err != nil {
		t.Fatal(err)
	}
	p, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTheFileHasABrokerTheTopicsIngestAndTheProcessor(t *testing.T) {
	p := project(t)
	if got := p.ServiceNames(); !slices.Equal(got, []string{"cdr", "ingest", "kafka", "topics"}) {
		t.Fatalf("services %v", got)
	}
	if d, ok := p.Services["topics"].DependsOn["kafka"]; !ok || d.Condition != types.ServiceConditionHealthy ||
		!slices.Equal(p.Services["topics"].Command, []string{"/cdr", "topics", "create"}) {
		t.Errorf("topics: %+v", p.Services["topics"])
	}
	for _, name := range []string{"cdr", "ingest"} {
		s := p.Services[name]
		if d, ok := s.DependsOn["topics"]; !ok || d.Condition != types.ServiceConditionCompletedSuccessfully {
			t.Errorf("%s does not wait until the topics are made", name)
		}
		if s.Build == nil || s.Command[0] != "/"+name {
			t.Errorf("%s is not built here, or runs another program: %v", name, s.Command)
		}
	}
}

// Two processors have neither a name nor a folder nor a port in common.
func TestTheProcessorCanBeScaled(t *testing.T) {
	s := project(t).Services["cdr"]
	if name := s.Environment["JANUSCDR_INSTANCE"]; name != nil || s.Hostname != "" || s.ContainerName != "" {
		t.Errorf("all are called %v %s %s", name, s.Hostname, s.ContainerName)
	}
	for _, v := range s.Volumes {
		if v.Source != "" {
			t.Errorf("all have %s at %s", v.Source, v.Target)
		}
	}
	for _, port := range s.Ports {
		if !strings.Contains(port.Published, "-") {
			t.Errorf("all want port %s", port.Published)
		}
	}
	if !slices.Contains(s.Command, "--leave") {
		t.Error("one that is gone for good keeps its partitions for a while")
	}
}

func TestAPlayerIsStartedWhenItIsAskedFor(t *testing.T) {
	s, ok := project(t, "player").Services["player"]
	want := []string{"/cdr", "play", "http://ingest:8090/events", "--fresh"}
	if !ok || !slices.Equal(s.Command, want) || s.Restart != "no" {
		t.Errorf("%v %+v", ok, s)
	}
}

// With the profile the records are in a database and their schema in a registry; without, nothing is asked of one.
func TestTheProfileForBillingHasARegistryADatabaseAndTheSink(t *testing.T) {
	p := project(t, "billing")
	want := []string{"cdr", "ingest", "kafka", "postgres", "registry", "sink", "topics"}
	if got := p.ServiceNames(); !slices.Equal(got, want) {
		t.Fatalf("services %v", got)
	}
	for _, name := range []string{"registry", "sink"} {
		if d, ok := p.Services[name].DependsOn["postgres"]; !ok || d.Condition != types.ServiceConditionHealthy {
			t.Errorf("%s does not wait until postgres is well", name)
		}
	}
	if url := p.Services["cdr"].Environment["JANUSCDR_REGISTRY_URL"]; url == nil || *url != "" {
		t.Errorf("without a word the registry is %v", url)
	}
	options, err := cli.NewProjectOptions([]string{"../../docker-compose.yml"}, cli.WithProfiles([]string{"billing"}),
		cli.WithEnv([]string{"REGISTRY_URL=http://registry:8080/apis/ccompat/v7", "POSTGRES_PASSWORD=other"}))
	if err != nil {
		t.Fatal(err)
	}
	if p, err = options.LoadProject(t.Context()); err != nil {
		t.Fatal(err)
	}
	if url := p.Services["cdr"].Environment["JANUSCDR_REGISTRY_URL"]; *url != "http://registry:8080/apis/ccompat/v7" {
		t.Errorf("the registry is %s", *url)
	}
	for name, variable := range map[string]string{
		"registry": "REGISTRY_DATASOURCE_PASSWORD", "postgres": "POSTGRES_PASSWORD", "sink": "JANUSCDR_SINK_POSTGRES_URL",
	} {
		if value := p.Services[name].Environment[variable]; !strings.Contains(*value, "other") {
			t.Errorf("%s has another password", name)
		}
	}
}

func TestTheImageIsToldItsVersion(t *testing.T) {
	options, err := cli.NewProjectOptions([]string{"../../docker-compose.yml"}, cli.WithEnv([]string{"VERSION=v1.2.3"}))
	if err != nil {
		t.Fatal(err)
	}
	p, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"cdr", "ingest", "topics"} {
		if v := p.Services[name].Build.Args["VERSION"]; v == nil || *v != "v1.2.3" {
			t.Errorf("%s is built with %v", name, p.Services[name].Build.Args)
		}
	}
}

func TestEachServiceHasAHealthCheckThatNeedsNoShell(t *testing.T) {
	for name, s := range project(t, "billing", "player").Services {
		switch {
		case s.Restart == "no": // it ends
		case s.HealthCheck == nil || len(s.HealthCheck.Test) < 2:
			t.Errorf("%s has no health check", name)
		case s.HealthCheck.Test[0] != "CMD":
			t.Errorf("%s: health check by %s", name, s.HealthCheck.Test[0])
		case s.Build != nil && (s.HealthCheck.Test[1] != s.Command[0] || s.HealthCheck.Test[2] != "healthcheck"):
			t.Errorf("%s: health check %v", name, s.HealthCheck.Test)
		}
	}
}

func TestWhatMustLastIsOnAVolume(t *testing.T) {
	p := project(t)
	for name, folder := range map[string]string{"kafka": "/var/lib/kafka/data", "ingest": "/data"} {
		i := slices.IndexFunc(p.Services[name].Volumes, func(v types.ServiceVolumeConfig) bool {
			return v.Target == folder && v.Type == types.VolumeTypeVolume && v.Source != ""
		})
		if i < 0 {
			t.Errorf("%s: nothing that lasts at %s", name, folder)
			continue
		}
		if _, ok := p.Volumes[p.Services[name].Volumes[i].Source]; !ok {
			t.Errorf("%s: volume %s is not declared", name, p.Services[name].Volumes[i].Source)
		}
	}
	if dir := p.Services["kafka"].Environment["KAFKA_LOG_DIRS"]; dir == nil || *dir != "/var/lib/kafka/data" {
		t.Error("kafka writes beside its volume")
	}
}

func TestNothingIsReachableFromOtherMachinesByDefault(t *testing.T) {
	for name, s := range project(t, "billing", "player").Services {
		for _, port := range s.Ports {
			if ip, err := netip.ParseAddr(port.HostIP); err != nil || !ip.IsLoopback() {
				t.Errorf("%s publishes port %s at %q", name, port.Published, port.HostIP)
			}
		}
		if s.Build == nil {
			continue
		}
		if !s.ReadOnly || !slices.Contains(s.CapDrop, "ALL") || s.Privileged || len(s.SecurityOpt) == 0 {
			t.Errorf("%s may do more than it needs", name)
		}
	}
}

func TestOursFindKafkaWhereItSaysItIs(t *testing.T) {
	p := project(t)
	advertised := *p.Services["kafka"].Environment["KAFKA_ADVERTISED_LISTENERS"]
	for _, name := range []string{"cdr", "ingest", "topics"} {
		brokers := p.Services[name].Environment["JANUSCDR_KAFKA_BROKERS"]
		if brokers == nil || !strings.Contains(advertised, "://"+*brokers+",") &&
			!strings.HasSuffix(advertised, "://"+*brokers) {
			t.Errorf("%s looks for Kafka at %v, which advertises %s", name, brokers, advertised)
		}
	}
}
