#!/usr/bin/env bash
# A whole study, here or on a cluster: bash profiles/drive.sh PROFILE [options of Snakemake, such as --configfile STUDY.yaml]
# Each step takes up where an earlier run stopped: tables, splits (on a cluster embeddings); a plan; its shards; what they made is
# put in place; and last whatever is still missing, up to the report. Single files are asked of snakemake itself.
# SIGTERM or SIGUSR1 stops it with status 75: nothing more is submitted, and after GRACE seconds running jobs are
# cancelled, which makes them write their checkpoints. The same command continues.
set -euo pipefail -m # -m: children get SIGINT, which a script's children otherwise ignore
profile=${1:?usage: bash profiles/drive.sh PROFILE [options of Snakemake]}
[ ! -d "$profile" ] || profile=$(realpath "$profile") # Snakemake looks for cluster.yaml from its --directory
shift
options=("$@")
GRACE=${GRACE:-120}
read -ra display <<<"${MULTIMEP_LOGGER:-}" # how steps are shown, such as --logger rich; a summary is read instead
shown=()
child='' timer='' stopping='' results=''

stop() {
  [ -z "$stopping" ] || return 0
  stopping=1
  echo "multimep: asked to stop; running jobs have $GRACE s" || true # the terminal may be gone
  [ -n "$child" ] || exit 75
  kill -TERM "$child" 2>/dev/null || true # Snakemake: submit no more, wait for what runs
  { sleep "$GRACE" && kill -INT "$child"; } &>/dev/null & # and then: cancel what still runs
  timer=$!
}
trap stop TERM USR1
trap 'GRACE=0; stop' INT HUP # Ctrl-C, or a terminal that is closed

run() {
  [ -z "$stopping" ] || exit 75
  local status=0
  snakemake --workflow-profile "$profile" "${shown[@]}" "${options[@]}" "$@" &
  child=$!
  while kill -0 "$child" 2>/dev/null; do wait "$child" && status=0 || status=$?; done # a trapped signal ends `wait` early
  child=''
  [ -z "$timer" ] || kill -- "-$timer" 2>/dev/null || true
  [ -z "$stopping" ] || exit 75
  return "$status"
}

asked() { # the value of an option of Snakemake by its short and long name, or nothing
  local index word found=''
  for index in "${!options[@]}"; do
    word=${options[index]}
    case $word in
      "$1" | "$2") found=${options[index + 1]:-} ;;
      "$2="* | "$1="*) found=${word#*=} ;;
      "$1"[!-]*) found=${word#"$1"} ;;
    esac
  done
  echo "$found"
}

directory() { # in which Snakemake works
  local found
  found=$(asked -d --directory)
  echo "${found:-.}"
}

there() { (cd -- "$(directory)" >/dev/null && "$@"); }

seen() { # a file that Snakemake names, from here
  local place
  place=$(directory)
  case $1 in
    /*) echo "$1" ;;
    *) [ "$place" = . ] && echo "$1" || echo "$place/$1" ;;
  esac
}

folder() { # of the results, as Snakemake names it, from the output of `snakemake --summary`
  local report
  report=$(sed -n 's#/report\.html\t.*##p' <<<"$1") # all of it is read: a closed pipe is a failure
  if [ -z "$report" ]; then
    echo "multimep: these options ask for no report; give what is asked for to snakemake itself" >&2
    return 2
  fi
  head -n1 <<<"$report"
}

require_room() { # jobs cannot say so themselves: their logs lie on the same disk; a quota does not show in `df`
  local place
  place=$(seen "$(folder "$(run --summary 2>/dev/null)" 2>/dev/null)") || return 0
  [ -d "$place" ] || return 0
  if ! head --bytes=1M /dev/zero 2>/dev/null >"$place/.room"; then
    rm -f "$place/.room"
    echo "multimep: $place: no space left on the device; make room there, then give the same command again" >&2
    exit 2
  fi
  rm -f "$place/.room"
}

step() { # a failure is told by Snakemake itself, but for a full disk
  local -a shown=("${display[@]}")
  run "$@" || { local status=$?; shown=(); require_room; return "$status"; }
}

changed() { # since the plan was made: the configuration, as it was read last or as these options name it
  local word
  for word in config.yaml "${options[@]}" "$(seen "$results/config.json")"; do
    [[ ! -f $word || ! $word -nt $(seen "$results/plan.json") ]] || return 0
  done
  return 1
}

take_back() { # a store, whose rows serve the next one, to where shards make it
  local folder
  [ -f "$1" ] || return 0
  folder=$results/ahead/embed/$(basename "$1" .h5)
  mkdir -p "$folder"
  mv -f -- "$1" "$folder/"
}

on_record() { # what was put in place: up to date it is, but Snakemake does not know what made it (hence force)
  local list collected
  list=$(seen "$results/collected.txt")
  [ -s "$list" ] || return 0
  mapfile -t collected <"$list"
  if changed; then
    echo "multimep: the configuration has changed since the plan; what that plan put in place is made again"
    local path
    for path in "${collected[@]}"; do
      case $path in
        */embeddings/*.h5) there take_back "$path" ;;
        *) there rm -f -- "$path" ;;
      esac
    done
  else
    run --touch --force -- "${collected[@]}"
  fi
  rm -f "$list"
}

work_ahead() { # the shards of the plan, and what they finished put in place
  echo "multimep: shards"
  step -- shards || echo "multimep: some shards failed; what they did not finish is made one by one"
  if changed; then
    echo "multimep: the configuration has changed since the plan; give the same command again" >&2
    exit 2
  fi
  there multimep collect "$results/plan.json" --ahead "$results/ahead" >"$(seen "$results/collected.txt")"
  on_record
}

plan() { # of what is not up to date
  local summary cores
  summary=$(run --summary)
  results=$(folder "$summary")
  if [ -s "$(seen "$results/collected.txt")" ]; then # an earlier run was stopped before these were on record
    on_record
    summary=$(run --summary)
  fi
  cores=$(asked -c --cores)
  [[ $cores =~ ^[0-9]+$ ]] || cores=''
  echo "multimep: plan"
  there multimep plan --config "$results/config.json" --results "$results" --needed - --output "$results/plan.json" \
    ${cores:+--cores "$cores"} <<<"$summary"
  ! grep --quiet '"lanes"' "$(seen "$results/plan.json")" || work_ahead
}

main() { # read as a whole before it begins: the file may change while the study runs
  local word
  for word in "${options[@]}"; do # nothing to pack: a look at the study, or its housekeeping
    [[ ! $word =~ ^(-[a-zF]*n[a-z]*|--dry-?run|--unlock|--lint|--list.*|--summary|--detailed-summary|--report|--dag|--rulegraph|--touch|--cleanup-.*|--delete-.*|--version|--help)$ ]] ||
      exec snakemake --workflow-profile "$profile" "${options[@]}"
  done
  echo "multimep: what the plan needs"
  if step -- prepared; then
    plan
  elif [ -f "$profile/cluster.yaml" ]; then
    return 1
  else
    echo "multimep: some of it failed; the others go on, a process for each"
  fi
  echo "multimep: what is left, and the report"
  step
  [ -z "$results" ] || echo "multimep: the report is $(seen "$results/report.html")"
  exit
}
main
