/** The YAML that a new item's editor begins with. */
export type PipelineStarter = string;

export const pipelineStarter: PipelineStarter = `apiVersion: quarterdeck/v1
kind: Pipeline
metadata:
  name: my-pipeline
  display_name: My pipeline
  description: What it makes, and from what
  labels: {}
spec:
  execution_mode: streaming
  params:
    type: object
    properties:
      threshold: {type: number, default: 0.8, minimum: 0, maximum: 1, title: Threshold}
  stages:
    - id: load
      name: Load
      uses: my_package.stages:Load
      resources: {cpus: 0.25}
    - id: filter
      name: Filter
      uses: my_package.stages:Filter
      params: {threshold: "\${params.threshold}"}
      resources: {cpus: 0.5}
  io:
    input:
      items: [1, 2, 3]
    output:
      jsonl: {path: results.jsonl}
  runtime:
    target: local
`;
