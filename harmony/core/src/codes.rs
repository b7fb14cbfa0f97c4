//! The error codes of the workspace, one line each, sorted by number.
//!
//! To add a code, add a line here and a section with the same title in `docs/reference/codes.md`; a test of
//! `harmony_cli` compares the two. A code never changes its meaning, and numbers are not reused.
//!
//! | codes | area |
//! | --- | --- |
//! | H00xx | general: cancelled, usage |
//! | H01xx | building images |
//! | H02xx | registries, images and charts in them, release tags |
//! | H03xx | clusters: apply, readiness, smoke checks |
//! | H04xx | the local node |
//! | H05xx | releases: versions, work tree, charts |
//! | H06xx | the fleet's own Scores |
//! | H07xx | monitoring |

use crate::diagnostic::Code;

/// Declares the constants and [`ALL`]. Does not compile if the numbers are not in ascending order.
macro_rules! codes {
    ($($name:ident = $number:literal, $title:literal;)+) => {
        $(
            #[doc = concat!("H", stringify!($number), ": ", $title)]
            pub const $name: Code = Code::new($number);
        )+

        /// All codes with their titles, sorted by number.
        pub const ALL: &[(Code, &str)] = &[$(($name, $title)),+];

        const _: () = {
            let numbers = [$($number),+];
            let mut at = 1;
            while at < numbers.len() {
                assert!(numbers[at - 1] < numbers[at], "codes must ascend, each once");
                at += 1;
            }
        };
    };
}

codes! {
    // General
    CANCELLED = 1, "the run was cancelled";
    USAGE = 2, "the command line is not valid";
    UNKNOWN_TOPOLOGY = 3, "the topology does not exist";
    NO_SCORE_MATCHES = 4, "no Score matches the filter";
    DELETIONS_NOT_APPROVED = 5, "deletions were not approved";
    UNKNOWN_COMMAND = 6, "unknown command";
    COMMAND_NOT_STARTED = 7, "a command cannot be started";
    PROGRAM_SETUP = 8, "the program cannot be set up";
    WHICH_RELEASE = 9, "no release was specified";
    APP_NOT_FOUND = 10, "the app's program is not on PATH";
    NOT_A_RELEASE_TAG = 11, "not a release tag";
    CONFIGURATION_INVALID = 12, "the configuration is not valid";
    NO_SUCH_STAGE = 13, "the program has no such stage";
    CHECK_TIMEOUT = 14, "a check took too long";
    // Building images
    DOCKERFILE_UNSUPPORTED = 101, "the builder does not support Dockerfiles";
    HOST_STEP_FAILED = 102, "a build step failed";
    PROGRAM_MISSING = 103, "a build tool is not installed";
    IMAGE_FILE_UNREADABLE = 104, "a file for the image cannot be read";
    IMAGE_NOT_WRITTEN = 105, "the image cannot be written";
    RECIPE_INVALID = 106, "the image recipe is not valid";
    BUILD_DAEMON_FAILED = 107, "the build daemon failed";
    NO_CACHE_DIR = 130, "the cache directory cannot be determined";
    CACHE_DIR_UNTRUSTED = 131, "the cache directory is not secure";
    CACHE_DIR_UNUSABLE = 132, "the cache directory cannot be used";
    GO_MOD_DIRECTIVES = 133, "Go cannot install the module by version";
    PROGRAM_CANNOT_START = 134, "the program cannot start in the image";
    BUILDER_UNREACHABLE = 135, "the builder cannot be reached";
    NEEDS_BUILDKIT = 136, "the image needs BuildKit";
    TARGET_MISSING = 137, "the compiler lacks a target";

    // Registries, images and charts
    REGISTRY_UNREACHABLE = 201, "the registry cannot be reached";
    REGISTRY_UNTRUSTED = 202, "the certificate of the registry is not trusted";
    REGISTRY_DENIED = 203, "the registry denied access";
    VERSION_TAKEN = 204, "the version is published with different content";
    REGISTRY_ANSWER = 205, "the registry returned an error";
    REGISTRY_FULL = 206, "no space left in the registry";
    BUILT_UNREADABLE = 207, "the image or chart to push cannot be read";
    NOT_IN_REGISTRY = 208, "the image or chart does not exist";
    REGISTRY_UNNAMED = 209, "no registry is configured";
    CA_FILE_UNREADABLE = 220, "the CA file cannot be read";
    CA_FILE_INVALID = 221, "the CA file contains no certificate";
    TLS_SETUP = 222, "TLS cannot be set up";
    HALF_CREDENTIALS = 223, "the registry login is incomplete";
    OTHER_REGISTRY = 224, "the name belongs to another registry";
    NO_TAG = 225, "the image has neither a tag nor a digest";
    OTHER_DIGEST = 226, "the name contains the digest of another image";
    NOT_IN_LAYOUT = 227, "the image is not in an OCI layout";
    PLANNED_NOT_BUILT = 228, "the image has not been built";
    OTHER_CHART = 229, "the name does not match the chart";
    UNRESOLVED_TAG = 230, "the tag does not match any app";
    NO_PLATFORM = 231, "the image does not support this platform";
    CORRUPT_CONTENT = 232, "content does not match its digest";
    ANSWER_TOO_LARGE = 233, "the response of the registry is too large";
    UNSAFE_REDIRECT = 234, "the registry redirects to an unsafe address";
    WRITE_WHILE_PLANNING = 235, "a plan tried to write";
    PULL_NOT_WRITTEN = 236, "downloaded content cannot be written";
    HARBOR_PROJECT_NAME = 237, "the Harbor project name is not valid";
    NOT_A_CHART = 238, "the artifact is not a Helm chart";
    NOT_A_RECORD = 239, "the artifact is not a release record";
    BODY_LIMIT = 240, "a proxy limits the size of uploads";
    NO_REPOSITORY = 241, "the repository does not exist";
    PROXY_UNREACHABLE = 242, "the proxy of the registry cannot be reached";
    PROXY_REFUSES = 243, "the proxy refused to connect to the registry";
    PROXY_LOGIN = 244, "the proxy requires a login";
    TOO_MANY_REQUESTS = 245, "too many requests to the registry";
    IMMUTABLE_TAG = 246, "the registry protects the tag";
    ROBOT_UNUSABLE = 247, "the robot account cannot be used";
    NO_PULL_ACCOUNTS = 248, "the registry cannot create accounts";

    // Clusters
    OBJECT_INCOMPLETE = 300, "an object cannot be identified";
    IMAGE_NOT_FOUND = 301, "the image does not exist";
    IMAGE_PULL = 302, "the image cannot be pulled";
    CRASH_LOOP = 303, "a container keeps crashing";
    CONTAINER_START = 304, "a container cannot be started";
    MISSING_REFERENCE = 305, "a pod refers to a missing resource";
    UNSCHEDULABLE = 306, "the pod cannot be scheduled";
    PODS_REFUSED = 307, "pods cannot be created";
    NOT_READY = 308, "an object did not become ready";
    SMOKE_CHECK_FAILED = 309, "a smoke check failed";
    CLUSTER_UNREACHABLE = 310, "the cluster cannot be reached";
    KUBECONFIG_UNUSABLE = 311, "the kubeconfig cannot be used";
    OBJECT_REFUSED = 312, "the cluster rejected an object";
    FIELD_CONFLICT = 313, "another field manager owns a field";
    UNKNOWN_KIND = 314, "the cluster does not know the kind";
    CLUSTER_FORBIDS = 315, "the cluster denied access";
    CLUSTER_REQUEST = 316, "a request to the cluster failed";
    OUT_OF_MEMORY = 317, "a container ran out of memory";
    JOB_FAILED = 318, "a job failed";
    SUPERSEDED = 319, "an object was changed during the deploy";
    NO_CLUSTER = 320, "no cluster is configured";
    NO_OTHER_CLUSTER = 321, "there is no other cluster to choose";
    PERMISSIONS_MISSING = 322, "the user lacks permissions for a deploy";
    CHART_NOT_RENDERED = 330, "the chart cannot be rendered";
    CHART_KUBE_VERSION = 331, "the chart does not support the version of the cluster";
    CHART_LOOKUP = 332, "the chart reads objects of the cluster";
    CHART_SUBCHARTS = 333, "subcharts of the chart are missing";
    CHART_UNSTABLE = 341, "the chart renders differently each time";
    OTHER_OWNER = 350, "an object has another owner";
    CHART_NAME_UNFIT = 351, "the chart name is not valid";
    INVENTORY_DAMAGED = 353, "the inventory is damaged";
    INVENTORY_FOREIGN_ENTRY = 354, "the inventory contains a foreign object";
    OBJECT_INVALID = 355, "an object is not valid";
    FIELDS_DROPPED = 356, "the cluster would drop fields";
    PROXY_UNUSABLE = 357, "the proxy setting is not valid";
    NO_CONTROLLER = 360, "the cluster has no controller for deliveries";
    CONTROLLER_SILENT = 361, "the controller of deliveries does not respond";
    SYNC_FAILED = 362, "the controller could not deliver the chart";
    DELIVERY_SUPERSEDED = 363, "another delivery took its place";
    OBJECTS_NOT_RELEASED = 364, "the release does not have the objects that its delivery needs";

    // The local node
    NODE_NEEDS_ROOT = 401, "the local node needs root";
    NODE_DISK_SPACE = 402, "not enough disk space";
    NODE_SETTING = 403, "a setting of the local node is not valid";
    NODE_PORT_TAKEN = 404, "a port is already in use";
    OTHER_NODE_RUNS = 405, "another Kubernetes node is running on this machine";
    NODE_ADDRESS_RANGE = 406, "an address range is already in use";
    NODE_PACKAGES = 407, "required packages are missing";
    NODE_GO_MISSING = 408, "Go is not installed";
    NODE_PROGRAM_BUILD = 409, "the node's program cannot be built";
    NODE_CERTIFICATE = 410, "a certificate cannot be created";
    NODE_FILE = 411, "a file of the node cannot be used";
    NODE_PROCESS = 412, "a process of the node cannot be controlled";
    NODE_COMPONENT_DIED = 413, "a component exited during startup";
    NODE_NOT_READY = 414, "the node did not become ready";
    NODE_TOOL = 415, "a tool of the node failed";
    NODE_API = 416, "a request to the node failed";
    NODE_IMPORT = 417, "the image cannot be imported";
    NODE_REFERENCE = 418, "the image store does not accept the name";
    NODE_NOT_RUNNING = 419, "the local node is not running";
    K3D_MISSING = 440, "k3d or Docker is not installed";
    K3D_NAME = 441, "the k3d cluster name is not valid";
    K3D_FAILED = 442, "k3d failed";
    K3D_ANSWER = 443, "the output of k3d cannot be parsed";
    K3D_NO_CLUSTER = 444, "the k3d cluster does not exist";
    K3D_IMPORT = 445, "the image cannot be imported into k3d";

    // Releases
    UNITS_CONFLICT = 501, "two apps have the same name";
    VERSION_MISMATCH = 502, "the tag and the source have different versions";
    CRATE_VERSION = 503, "the version of a crate cannot be read";
    NO_GIT_REPOSITORY = 504, "the project is not in a git repository";
    NO_COMMIT = 505, "the git repository has no commits";
    DIRTY_WORK_TREE = 506, "the work tree has uncommitted changes";
    TAG_ELSEWHERE = 507, "the tag points to another commit";
    GIT_FAILED = 508, "git failed";
    CHART_NOT_DERIVABLE = 510, "the chart cannot be generated";
    CHART_VALUE = 511, "a chart value is not valid";
    CHART_SECRET = 512, "the chart would contain a secret";
    CHART_FILE = 513, "a chart file cannot be used";
    CHART_IMAGE_UNPINNED = 514, "the chart does not refer to its image by digest";
    CHART_FUNCTION = 515, "the app's chart function failed";
    CHART_NOT_PACKED = 516, "the chart cannot be packaged";
    CHART_CHANGED = 517, "the chart differs from charts.lock";
    CHART_NOT_LOCKED = 518, "the chart is not in charts.lock";
    CHART_LOCK_FILE = 519, "charts.lock cannot be used";
    NO_WORK_TREE = 520, "the current directory is not a checkout of the app";
    CHART_VALUES_SHAPE = 521, "the values of a third-party chart are not a mapping";
    CHART_RELEASE_NAME = 522, "the name of a third-party chart's Score is not valid";
    CHART_NOT_LISTED = 523, "the chart repository does not list the chart";
    CHART_ARCHIVE = 524, "a chart differs from the index of its repository";
    CHART_TASK = 525, "a task of the program failed";
    NOT_RELEASED = 530, "the version is not released";
    RELEASE_RECORD = 531, "the release record cannot be used";
    IMAGE_OR_CHART_MISSING = 532, "the app has no such image or chart";
    NO_SOURCES = 533, "the program's sources are not on this machine";
    BUNDLED_IMAGE_NAME = 534, "the name of a bundled image is not valid";

    // The fleet
    FLEET_ADDRESS_FILE = 601, "the address of the fleet cannot be saved";
    FLEET_CERTIFICATE = 602, "the certificate for NATS cannot be created";
    FLEET_EXAMPLE = 603, "the example deployment cannot be written";

    // Monitoring
    MONITORING_SETTING = 701, "the monitoring is not described correctly";
    MONITORING_SECRET = 702, "a Secret for an alert receiver is missing";
    MONITORING_PROVIDER = 703, "the cluster has no monitoring that can be used";
    MONITORING_TARGET = 704, "a target is not scraped";
    MONITORING_RULES = 705, "alert rules are not loaded";
    MONITORING_ALERTS = 706, "alerts do not reach Alertmanager";
    MONITORING_RECEIVER = 707, "a receiver did not accept an alert";
    MONITORING_REJECTED = 708, "prometheus-operator rejected a resource";
}
