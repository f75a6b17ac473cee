"""What model servers answer to a scrape, shortened, and what the presets must read from it.

Written from the sources of the servers. Each has series that a preset must leave out: requests
that clients gave up, probes, other reporters, other metrics with a similar name.
"""

from typing import Final, NamedTuple


class Exposition(NamedTuple):
    """A scrape and what it amounts to; ``None`` for what the server does not export.

    ``slow`` is how many requests were slower than ``edge`` seconds, of ``observed``; ``mean`` is in
    seconds.
    """

    text: str
    requests: float | None = None
    errors: float | None = None
    observed: float | None = None
    edge: float = 0.0
    slow: float | None = None
    mean: float | None = None
    queue: float | None = None


EXPOSITIONS: Final = {
    "backstop": Exposition(
        """\
model_requests_total{code="200"} 97
model_requests_total{code="404"} 1
model_requests_total{code="503"} 2
model_request_duration_seconds_bucket{le="0.25"} 90
model_request_duration_seconds_bucket{le="+Inf"} 100
model_request_duration_seconds_sum 20
model_request_duration_seconds_count 100
""",
        requests=100,
        errors=2,
        observed=100,
        edge=0.25,
        slow=10,
        mean=0.2,
    ),
    "triton": Exposition(
        """\
nv_inference_request_success{model="ranking",version="3"} 90
nv_inference_request_failure{model="ranking",version="3",reason="OTHER"} 1
nv_inference_request_failure{model="ranking",version="3",reason="BACKEND"} 2
nv_inference_request_failure{model="ranking",version="3",reason="REJECTED"} 3
nv_inference_request_failure{model="ranking",version="3",reason="CANCELED"} 400
nv_inference_count{model="ranking",version="3"} 720
nv_inference_exec_count{model="ranking",version="3"} 90
nv_inference_request_duration_us{model="ranking",version="3"} 4500000
nv_inference_queue_duration_us{model="ranking",version="3"} 900000
nv_inference_pending_request_count{model="ranking",version="3"} 5
nv_gpu_utilization{gpu_uuid="GPU-1"} 0.7
""",
        requests=96,
        errors=6,
        mean=0.05,
        queue=5,
    ),
    "kserve": Exposition(
        """\
request_preprocess_seconds_bucket{le="0.5",model_name="iris"} 100
request_preprocess_seconds_bucket{le="+Inf",model_name="iris"} 100
request_predict_seconds_bucket{le="0.5",model_name="iris"} 95
request_predict_seconds_bucket{le="+Inf",model_name="iris"} 100
request_predict_seconds_count{model_name="iris"} 100
request_predict_seconds_sum{model_name="iris"} 25
request_postprocess_seconds_count{model_name="iris"} 100
""",
        observed=100,
        edge=0.5,
        slow=5,
        mean=0.25,
    ),
    "tfserving": Exposition(
        """\
:tensorflow:serving:request_count{model_name="clicks",status="OK"} 90
:tensorflow:serving:request_count{model_name="clicks",status="INVALID_ARGUMENT"} 4
:tensorflow:serving:request_count{model_name="clicks",status="INTERNAL"} 6
:tensorflow:serving:request_count{model_name="clicks",status="CANCELLED"} 50
:tensorflow:serving:request_latency_bucket{model_name="clicks",API="Predict",entrypoint="REST",\
le="104857.6"} 80
:tensorflow:serving:request_latency_bucket{model_name="clicks",API="Predict",entrypoint="REST",\
le="+Inf"} 100
:tensorflow:serving:request_latency_sum{model_name="clicks",API="Predict",entrypoint="REST"} 7e+06
:tensorflow:serving:request_latency_count{model_name="clicks",API="Predict",entrypoint="REST"} 100
:tensorflow:serving:runtime_latency_bucket{model_name="clicks",API="Predict",runtime="TF1",\
le="+Inf"} 100
""",
        requests=100,
        errors=10,
        observed=100,
        edge=0.1048576,
        slow=20,
        mean=0.07,
    ),
    "torchserve": Exposition(
        """\
Requests2XX{Level="Host",Hostname="vision-0",} 1095.0
Requests4XX{Level="Host",Hostname="vision-0",} 7.0
Requests5XX{Level="Host",Hostname="vision-0",} 5.0
ts_inference_requests_total{model_name="vision",model_version="default",hostname="vision-0",} 100.0
ts_inference_latency_microseconds{model_name="vision",model_version="default",\
hostname="vision-0",} 8000000.0
ts_queue_latency_microseconds{model_name="vision",model_version="default",hostname="vision-0",} 900
QueueTime{Level="Host",Hostname="vision-0",} 3.0
""",
        requests=100,
        errors=5,
        mean=0.08,
    ),
    "vllm": Exposition(
        """\
http_requests_total{handler="/v1/chat/completions",method="POST",status="2xx"} 96
http_requests_total{handler="/v1/chat/completions",method="POST",status="4xx"} 1
http_requests_total{handler="/v1/completions",method="POST",status="5xx"} 3
http_request_duration_highr_seconds_bucket{le="30.0"} 100
vllm:request_success_total{engine="0",finished_reason="stop",model_name="chat"} 90
vllm:request_success_total{engine="0",finished_reason="length",model_name="chat"} 6
vllm:e2e_request_latency_seconds_bucket{engine="0",le="30.0",model_name="chat"} 86
vllm:e2e_request_latency_seconds_bucket{engine="0",le="+Inf",model_name="chat"} 96
vllm:e2e_request_latency_seconds_sum{engine="0",model_name="chat"} 960
vllm:e2e_request_latency_seconds_count{engine="0",model_name="chat"} 96
vllm:time_to_first_token_seconds_bucket{engine="0",le="+Inf",model_name="chat"} 99
vllm:num_requests_running{engine="0",model_name="chat"} 8
vllm:num_requests_waiting{engine="0",model_name="chat"} 4
vllm:kv_cache_usage_perc{engine="0",model_name="chat"} 0.5
""",
        requests=100,
        errors=3,
        observed=96,
        edge=30.0,
        slow=10,
        mean=10.0,
        queue=4,
    ),
    "rayserve": Exposition(
        """\
ray_serve_deployment_request_counter_total{application="rec",deployment="R",replica="a",route="/"} \
95
ray_serve_deployment_request_counter{application="rec",deployment="R",replica="a",route="/"} 95
ray_serve_deployment_error_counter_total{application="rec",deployment="R",replica="a",route="/"} 5
ray_serve_deployment_processing_latency_ms_bucket{application="rec",deployment="R",le="500.0"} 92
ray_serve_deployment_processing_latency_ms_bucket{application="rec",deployment="R",le="+Inf"} 100
ray_serve_deployment_processing_latency_ms_sum{application="rec",deployment="R"} 30000
ray_serve_deployment_processing_latency_ms_count{application="rec",deployment="R"} 100
ray_serve_http_request_latency_ms_bucket{application="rec",method="GET",le="+Inf"} 100
ray_serve_num_http_requests_total{application="rec",method="GET",status_code="200"} 100
ray_serve_deployment_queued_queries{application="rec",deployment="R",handle="h"} 3
ray_serve_replica_processing_queries{application="rec",deployment="R",replica="a"} 9
""",
        requests=100,
        errors=5,
        observed=100,
        edge=0.5,
        slow=8,
        mean=0.3,
        queue=3,
    ),
    "bentoml": Exposition(
        """\
bentoml_service_request_total{endpoint="/sum",http_response_code="200",service_version="v"} 96
bentoml_service_request_total{endpoint="/sum",http_response_code="400",service_version="v"} 1
bentoml_service_request_total{endpoint="/sum",http_response_code="500",service_version="v"} 3
bentoml_service_request_total{endpoint="/readyz",http_response_code="200",service_version="v"} 700
bentoml_service_request_total{endpoint="/readyz",http_response_code="503",service_version="v"} 9
bentoml_service_request_duration_seconds_bucket{endpoint="/sum",le="1.0"} 80
bentoml_service_request_duration_seconds_bucket{endpoint="/sum",le="+Inf"} 100
bentoml_service_request_duration_seconds_bucket{endpoint="/livez",le="1.0"} 700
bentoml_service_request_duration_seconds_bucket{endpoint="/livez",le="+Inf"} 700
bentoml_service_request_duration_seconds_sum{endpoint="/sum"} 70
bentoml_service_request_duration_seconds_sum{endpoint="/livez"} 1
bentoml_service_request_duration_seconds_count{endpoint="/sum"} 100
bentoml_service_request_duration_seconds_count{endpoint="/livez"} 700
bentoml_service_request_in_progress{endpoint="/sum",service_version="v"} 6
bentoml_service_request_in_progress{endpoint="/healthz",service_version="v"} 1
bentoml_service_adaptive_batch_size_bucket{le="+Inf",method_name="sum"} 50
""",
        requests=100,
        errors=3,
        observed=100,
        edge=1.0,
        slow=20,
        mean=0.7,
        queue=6,
    ),
    "mlserver": Exposition(
        """\
model_infer_request_success_total{model="churn",version="v1"} 97
model_infer_request_failure_total{model="churn",version="v1"} 3
model_infer_request_duration_count{model="churn",version="v1"} 100
model_infer_request_duration_sum{model="churn",version="v1"} 15
rest_server_request_duration_seconds_bucket{le="0.25",path="/v2/models/churn/infer"} 88
rest_server_request_duration_seconds_bucket{le="+Inf",path="/v2/models/churn/infer"} 100
rest_server_request_duration_seconds_bucket{le="+Inf",path="/v2/models/churn/ready"} 600
rest_server_requests_total{path="/v2/models/churn/infer",status_code="200"} 97
rest_server_requests_in_progress{app_name="mlserver",method="POST"} 2
parallel_request_queue_count{} 100
""",
        requests=100,
        errors=3,
        observed=100,
        edge=0.25,
        slow=12,
        mean=0.15,
        queue=2,
    ),
    "seldon2": Exposition(
        """\
seldon_model_infer_total{code="200",method_type="rest",model="iris",model_internal="iris_2"} 50
seldon_model_infer_total{code="400",method_type="rest",model="iris",model_internal="iris_2"} 6
seldon_model_infer_total{code="500",method_type="rest",model="iris",model_internal="iris_2"} 3
seldon_model_infer_total{code="OK",method_type="grpc",model="iris",model_internal="iris_2"} 38
seldon_model_infer_total{code="Canceled",method_type="grpc",model="iris",model_internal="iris_2"} 1
seldon_model_infer_total{code="Internal",method_type="grpc",model="iris",model_internal="iris_2"} 2
seldon_model_infer_seconds_total{code="200",method_type="rest",model="iris",\
model_internal="iris_2"} 9
seldon_model_infer_seconds_total{code="OK",method_type="grpc",model="iris",\
model_internal="iris_2"} 1
seldon_model_aggregate_infer_total{method_type="rest",server="mlserver"} 100
seldon_model_infer_api_seconds_bucket{code="200",method="post",server="mlserver",le="+Inf"} 100
""",
        requests=100,
        errors=5,
        mean=0.1,
    ),
    "fastapi": Exposition(
        """\
http_requests_total{handler="/predict",method="POST",status="2xx"} 95
http_requests_total{handler="/predict",method="POST",status="4xx"} 1
http_requests_total{handler="/predict",method="POST",status="5xx"} 4
http_requests_total{handler="/metrics",method="GET",status="2xx"} 900
http_requests_total{handler="/metrics",method="GET",status="5xx"} 1
http_request_duration_highr_seconds_bucket{le="0.5"} 93
http_request_duration_highr_seconds_bucket{le="+Inf"} 100
http_request_duration_highr_seconds_sum 12
http_request_duration_highr_seconds_count 100
http_request_duration_seconds_bucket{handler="/predict",le="0.5",method="POST"} 93
http_request_size_bytes_sum{handler="/predict"} 5000
""",
        requests=100,
        errors=4,
        observed=100,
        edge=0.5,
        slow=7,
        mean=0.12,
    ),
    "istio": Exposition(
        """\
istio_requests_total{destination_workload="f",reporter="destination",response_code="200"} 60
istio_requests_total{destination_workload="f",reporter="destination",response_code="404"} 2
istio_requests_total{destination_workload="f",reporter="destination",response_code="503"} 8
istio_requests_total{destination_workload="f",reporter="waypoint",response_code="200"} 30
istio_requests_total{destination_workload="f",reporter="source",response_code="200"} 60
istio_requests_total{destination_workload="f",reporter="source",response_code="503"} 8
istio_request_duration_milliseconds_bucket{reporter="destination",le="250"} 91
istio_request_duration_milliseconds_bucket{reporter="destination",le="+Inf"} 100
istio_request_duration_milliseconds_bucket{reporter="source",le="+Inf"} 70
istio_request_duration_milliseconds_sum{reporter="destination"} 11000
istio_request_duration_milliseconds_sum{reporter="source"} 12000
istio_request_duration_milliseconds_count{reporter="destination"} 100
istio_request_duration_milliseconds_count{reporter="source"} 70
""",
        requests=100,
        errors=8,
        observed=100,
        edge=0.25,
        slow=9,
        mean=0.11,
    ),
    "envoy": Exposition(
        """\
envoy_cluster_upstream_rq{envoy_cluster_name="models_f_80",envoy_response_code="503"} 6
envoy_cluster_upstream_rq_xx{envoy_cluster_name="models_f_80",envoy_response_code_class="2"} 92
envoy_cluster_upstream_rq_xx{envoy_cluster_name="models_f_80",envoy_response_code_class="4"} 2
envoy_cluster_upstream_rq_xx{envoy_cluster_name="models_f_80",envoy_response_code_class="5"} 6
envoy_cluster_external_upstream_rq_xx{envoy_cluster_name="models_f_80",\
envoy_response_code_class="5"} 6
envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="models_f_80",le="250"} 89
envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="models_f_80",le="+Inf"} 100
envoy_cluster_upstream_rq_time_sum{envoy_cluster_name="models_f_80"} 9000
envoy_cluster_upstream_rq_time_count{envoy_cluster_name="models_f_80"} 100
envoy_cluster_external_upstream_rq_time_count{envoy_cluster_name="models_f_80"} 100
envoy_cluster_upstream_rq_pending_active{envoy_cluster_name="models_f_80"} 1
envoy_cluster_upstream_rq_active{envoy_cluster_name="models_f_80"} 7
""",
        requests=100,
        errors=6,
        observed=100,
        edge=0.25,
        slow=11,
        mean=0.09,
        queue=1,
    ),
}
