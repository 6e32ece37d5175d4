//! The drawn graph: it must be one line through all stages, in the order in which they are listed.

use std::collections::{HashMap, HashSet};

use qd_core::suggest;
use qd_core::violation::{Pointer, Violation};

use crate::spec::{Graph, Stage};

pub(super) fn check(graph: &Graph, stages: &[Stage]) -> Vec<Violation> {
    let mut violations = Vec::new();
    let at = Pointer::root().key("graph");
    let known: Vec<&str> = stages.iter().map(|stage| stage.id.as_str()).collect();
    if known.iter().collect::<HashSet<_>>().len() < known.len() {
        // Told of the stages; which one a node means cannot be known.
        return violations;
    }
    check_nodes(graph, &known, &at.key("nodes"), &mut violations);
    let edges = sound_edges(graph, &known, &at.key("edges"), &mut violations);
    check_degrees(&edges, &at.key("edges"), &mut violations);
    if let Some(cycle) = find_cycle(&edges) {
        let detail = format!("the stages form a circle: {}", cycle.join(" → "));
        violations.push(Violation::new(at.key("edges"), "graph_cycle", detail));
    }
    // Where an edge is lost to a slip or a circle, that there is a gap follows from it.
    if !violations.iter().any(|violation| ["unknown_stage", "graph_cycle"].contains(&violation.code.as_str()))
    {
        check_ends(&edges, &known, &at, &mut violations);
    }
    // Only of a graph that is one line can it be said that the line is another one.
    if violations.is_empty() {
        check_order(&edges, &known, &mut violations);
    }
    violations
}

/// An edge between two different stages, with its place in the list.
#[derive(Clone, Copy)]
struct Arrow<'a> {
    index: usize,
    source: &'a str,
    target: &'a str,
}

fn check_nodes(graph: &Graph, known: &[&str], at: &Pointer, violations: &mut Vec<Violation>) {
    let mut seen = HashMap::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        let at = at.index(index).key("id");
        if !known.contains(&node.id.as_str()) {
            violations.push(unknown_stage(&at, &node.id, known));
        } else if let Some(first) = seen.insert(node.id.as_str(), index) {
            let detail = format!("the stage {:?} is drawn twice, also by /graph/nodes/{first}", node.id);
            violations.push(Violation::new(&at, "duplicate", detail));
        }
        if node.position.is_some_and(|place| !place.x.is_finite() || !place.y.is_finite()) {
            violations.push(Violation::new(&at, "out_of_range", "a position must be finite"));
        }
    }
    for stage in known.iter().filter(|stage| !seen.contains_key(*stage)) {
        let detail = format!("the stage {stage:?} has no node");
        violations.push(Violation::new(at, "graph_missing_node", detail));
    }
}

fn sound_edges<'a>(
    graph: &'a Graph,
    known: &[&str],
    at: &Pointer,
    violations: &mut Vec<Violation>,
) -> Vec<Arrow<'a>> {
    let mut sound: Vec<Arrow<'a>> = Vec::new();
    for (index, edge) in graph.edges.iter().enumerate() {
        let at = at.index(index);
        let (source, target) = (edge.source.as_str(), edge.target.as_str());
        let before = violations.len();
        for (field, id) in [("source", source), ("target", target)] {
            if !known.contains(&id) {
                violations.push(unknown_stage(&at.key(field), id, known));
            }
        }
        if violations.len() > before {
            continue;
        }
        if source == target {
            let detail = format!("the stage {source:?} leads to itself");
            violations.push(Violation::new(&at, "graph_cycle", detail));
        } else if let Some(same) = sound.iter().find(|edge| (edge.source, edge.target) == (source, target)) {
            let detail = format!("the same edge as /graph/edges/{}", same.index);
            violations.push(Violation::new(&at, "duplicate", detail));
        } else {
            sound.push(Arrow { index, source, target });
        }
    }
    sound
}

fn check_degrees(edges: &[Arrow<'_>], at: &Pointer, violations: &mut Vec<Violation>) {
    let (mut leaving, mut entering) = (HashMap::new(), HashMap::new());
    for edge in edges {
        if let Some(first) = leaving.insert(edge.source, edge.target) {
            let detail = format!("{:?} leads to {first:?} already; a stage leads to one other", edge.source);
            violations.push(Violation::new(at.index(edge.index).key("source"), "graph_out_degree", detail));
        }
        if let Some(first) = entering.insert(edge.target, edge.source) {
            let detail = format!("{:?} follows {first:?} already; a stage follows one other", edge.target);
            violations.push(Violation::new(at.index(edge.index).key("target"), "graph_in_degree", detail));
        }
    }
}

fn check_ends(edges: &[Arrow<'_>], known: &[&str], at: &Pointer, violations: &mut Vec<Violation>) {
    let sources: HashSet<&str> = edges.iter().map(|edge| edge.source).collect();
    let targets: HashSet<&str> = edges.iter().map(|edge| edge.target).collect();
    for (code, verb, ends) in [("graph_root", "begins", targets), ("graph_leaf", "ends", sources)] {
        let stages: Vec<&str> = known.iter().filter(|stage| !ends.contains(**stage)).copied().collect();
        if stages.len() > 1 {
            let list = stages.join(", ");
            let detail = format!("a pipeline {verb} with one stage; this one with {}: {list}", stages.len());
            violations.push(Violation::new(at.key("edges"), code, detail));
        }
    }
}

fn find_cycle<'a>(edges: &[Arrow<'a>]) -> Option<Vec<&'a str>> {
    let mut next: HashMap<&str, Vec<&'a str>> = HashMap::new();
    for edge in edges {
        next.entry(edge.source).or_default().push(edge.target);
    }
    let mut done = HashSet::new();
    for start in edges.iter().map(|edge| edge.source) {
        let mut path = vec![start];
        let mut choices = vec![next.get(start).cloned().unwrap_or_default()];
        while let Some(open) = choices.last_mut() {
            let Some(stage) = open.pop() else {
                choices.pop();
                done.extend(path.pop());
                continue;
            };
            if let Some(first) = path.iter().position(|seen| *seen == stage) {
                let mut cycle = path.split_off(first);
                cycle.push(stage);
                return Some(cycle);
            }
            if !done.contains(stage) {
                path.push(stage);
                choices.push(next.get(stage).cloned().unwrap_or_default());
            }
        }
    }
    None
}

fn check_order(edges: &[Arrow<'_>], known: &[&str], violations: &mut Vec<Violation>) {
    let next: HashMap<&str, &str> = edges.iter().map(|edge| (edge.source, edge.target)).collect();
    let targets: HashSet<&str> = edges.iter().map(|edge| edge.target).collect();
    let mut line = Vec::new();
    let mut stage = known.iter().copied().find(|stage| !targets.contains(stage));
    while let Some(here) = stage {
        line.push(here);
        stage = next.get(here).copied();
    }
    let Some(index) = line.iter().zip(known).position(|(drawn, listed)| drawn != listed) else { return };
    let detail =
        format!("the graph goes {}, but the stages are listed {}", line.join(" → "), known.join(", "),);
    violations.push(Violation::new(format!("/stages/{index}"), "graph_order", detail));
}

fn unknown_stage(at: &Pointer, id: &str, known: &[&str]) -> Violation {
    let hint = suggest::hint(id, known.iter().copied());
    Violation::new(at, "unknown_stage", format!("there is no stage {:?}{hint}", qd_core::error::clip(id, 60)))
}
